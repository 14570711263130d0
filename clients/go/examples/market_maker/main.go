// A market maker for the paper account: it quotes one bid and one ask around the mid of StreamMarketData, moves them with
// it, follows its fills, and on Ctrl+C, or after -seconds, cancels both and closes the position.
//
//	go run ./examples/market_maker -seconds 30
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/shopspring/decimal"
	"google.golang.org/protobuf/types/known/durationpb"

	brokergate "brokergate/clients/go"
	v1 "brokergate/clients/go/brokergate/v1"
)

var (
	address  = flag.String("address", "127.0.0.1:50051", "the gateway, host:port")
	account  = flag.String("account", "paper", "the account")
	symbol   = flag.String("symbol", "BTC/USDT", "the instrument")
	size     = flag.String("quantity", "0.01", "the size of each quote")
	ticks    = flag.Int64("ticks", 50, "how far each quote is from the mid, in price increments")
	most     = flag.Int64("most", 5, "the largest position, long or short, in quotes")
	interval = flag.Duration("interval", 200*time.Millisecond, "the least time between two moves of the quotes")
	seconds  = flag.Float64("seconds", 0, "how long to make a market; 0 is until Ctrl+C")
)

func main() {
	flag.Parse()
	log.SetFlags(log.Ltime)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *seconds > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(*seconds*float64(time.Second)))
		defer cancel()
	}
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	var options []brokergate.Option
	if token := os.Getenv("BROKERGATE_TOKEN"); token != "" {
		options = append(options, brokergate.WithToken(token))
	}
	client, err := brokergate.Connect(*address, options...)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	instrument, err := client.Instruments.GetInstrument(ctx, &v1.GetInstrumentRequest{
		Target: &v1.GetInstrumentRequest_AccountId{AccountId: *account}, Symbol: *symbol,
	})
	if err != nil {
		return err
	}
	tick, err := brokergate.Decimal("price_increment", instrument.GetInstrument().GetPriceIncrement())
	if err != nil {
		return err
	}
	quantity, err := brokergate.Decimal("quantity", *size)
	if err != nil {
		return err
	}
	cursor, err := client.Cursor(ctx, *account)
	if err != nil {
		return err
	}
	maker := &maker{client: client, quantity: quantity, tick: tick}
	fills := client.Fills(ctx, brokergate.From{Accounts: []string{*account}, Symbols: []string{*symbol}, After: cursor})
	// What goes wrong in one of the two streams ends the other.
	given := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quotes := make(chan brokergate.Quote)
	booked := make(chan *brokergate.Fill)
	go func() {
		for fill, err := range fills.All() {
			if err != nil {
				cancel(err)
				return
			}
			select {
			case booked <- fill:
			case <-ctx.Done():
				return
			}
		}
	}()
	go func() { cancel(follow(ctx, client, quotes)) }()
	for ctx.Err() == nil {
		select {
		case fill := <-booked:
			maker.filled(fill)
		case quote := <-quotes:
			// Not cut short: an order that is on its way would be placed behind the last cancel.
			maker.move(context.WithoutCancel(ctx), quote)
		case <-ctx.Done():
		}
	}
	// The time is over; cancelling and closing get a time of their own.
	last, done := context.WithTimeout(context.Background(), 10*time.Second)
	defer done()
	err = maker.flatten(last)
	fmt.Printf("placed %d, replaced %d, fills %d (bought %v, sold %v), errors %d\n",
		maker.placed, maker.replaced, maker.fills, maker.bought, maker.sold, maker.errors)
	if given.Err() == nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	return err
}

// follow hands over quotes until the context ends; market data is opened anew where its stream breaks, since it has no
// cursor to resume from.
func follow(ctx context.Context, client *brokergate.Client, quotes chan<- brokergate.Quote) error {
	for {
		stream, err := client.MarketData.StreamMarketData(ctx, &v1.StreamMarketDataRequest{
			Target:      &v1.StreamMarketDataRequest_AccountId{AccountId: *account},
			Symbols:     []string{*symbol},
			MinInterval: durationpb.New(*interval),
		})
		for err == nil {
			var answer *v1.StreamMarketDataResponse
			if answer, err = stream.Recv(); err != nil {
				break
			}
			for _, update := range answer.GetUpdates() {
				if update.GetQuote() == nil {
					continue
				}
				quote, err := brokergate.NewQuote(update.GetQuote())
				if err != nil {
					return err
				}
				select {
				case quotes <- quote:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		log.Printf("market data: %v", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// maker holds the two quotes, nil where none works.
type maker struct {
	client         *brokergate.Client
	quantity, tick decimal.Decimal
	bid, ask       *brokergate.Order
	bought, sold   decimal.Decimal

	placed, replaced, fills, errors int
}

func (maker *maker) filled(fill *brokergate.Fill) {
	maker.fills++
	if fill.GetSide() == brokergate.Buy {
		maker.bought = maker.bought.Add(fill.Quantity)
	} else {
		maker.sold = maker.sold.Add(fill.Quantity)
	}
	log.Printf("%v %v at %v, position %v", fill.GetSide(), fill.Quantity, fill.Price, maker.bought.Sub(maker.sold))
}

// move puts both quotes around the mid, one tick further where they are not to take.
func (maker *maker) move(ctx context.Context, quote brokergate.Quote) {
	if !quote.BidPrice.Valid || !quote.AskPrice.Valid {
		return
	}
	mid := quote.BidPrice.Decimal.Add(quote.AskPrice.Decimal).Div(decimal.NewFromInt(2))
	away := maker.tick.Mul(decimal.NewFromInt(*ticks))
	bid := decimal.Min(mid.Sub(away).Div(maker.tick).Floor().Mul(maker.tick), quote.BidPrice.Decimal)
	ask := decimal.Max(mid.Add(away).Div(maker.tick).Ceil().Mul(maker.tick), quote.AskPrice.Decimal)
	most := maker.quantity.Mul(decimal.NewFromInt(*most))
	position := maker.bought.Sub(maker.sold)
	maker.bid = maker.quote(ctx, maker.bid, brokergate.Buy, bid, position.LessThan(most))
	maker.ask = maker.quote(ctx, maker.ask, brokergate.Sell, ask, position.GreaterThan(most.Neg()))
}

// quote gives the order that works after the side's quote was moved to the price, or taken away where it is not wanted.
func (maker *maker) quote(
	ctx context.Context, order *brokergate.Order, side v1.Side, price decimal.Decimal, wanted bool,
) *brokergate.Order {
	target := brokergate.Account(*account)
	var err error
	switch {
	case order == nil && wanted:
		spec := brokergate.LimitOrder(*symbol, side, maker.quantity, price)
		spec.PostOnly = true
		var placed *brokergate.Placed
		if placed, err = maker.client.Place(ctx, target, spec); err == nil {
			maker.placed++
			order = &placed.Order
		}
	case order != nil && !wanted:
		order, err = maker.client.Cancel(ctx, target, brokergate.ByOrderID(order.GetOrderId()), "")
	case order != nil && !brokergate.MustDecimal(order.GetSpec().GetLimitPrice()).Equal(price):
		change := brokergate.Change{LimitPrice: &price}
		var moved *brokergate.Order
		moved, err = maker.client.Replace(ctx, target, brokergate.ByOrderID(order.GetOrderId()), order.GetGeneration(), change)
		if err == nil {
			maker.replaced++
			order = moved
		}
	}
	switch brokergate.ReasonOf(err) {
	case v1.ErrorReason_ERROR_REASON_ORDER_ENDED:
		return nil // it filled meanwhile
	case v1.ErrorReason_ERROR_REASON_GENERATION_MISMATCH, v1.ErrorReason_ERROR_REASON_REPLACE_PENDING:
		if order, err = maker.client.GetOrder(ctx, target, brokergate.ByOrderID(order.GetOrderId())); err != nil {
			return nil
		}
	}
	if err != nil {
		if ctx.Err() == nil {
			maker.errors++
			log.Print(err)
		}
		return order
	}
	if order != nil && order.Ended() {
		return nil
	}
	return order
}

// flatten cancels what works on the symbol and closes the position; its error says what is left.
func (maker *maker) flatten(ctx context.Context) error {
	left, err := maker.closeAll(ctx)
	if err != nil {
		return fmt.Errorf("NOT FLAT in %s: orders and a position, as far as is known: %w", *symbol, err)
	}
	if left != "" {
		return fmt.Errorf("NOT FLAT in %s:%s", *symbol, left)
	}
	return nil
}

func (maker *maker) closeAll(ctx context.Context) (left string, err error) {
	_, err = maker.client.Orders.CancelAllOrders(ctx, &v1.CancelAllOrdersRequest{AccountId: *account, Symbol: *symbol})
	if err != nil {
		return "", err
	}
	closed, err := maker.client.Positions.ClosePosition(ctx, &v1.ClosePositionRequest{AccountId: *account, Symbol: *symbol})
	if err == nil {
		order := closed.GetOrder()
		log.Printf("closed: %v %s of %s", order.GetSpec().GetSide(), order.GetCumQuantity(), *symbol)
	} else if brokergate.ReasonOf(err) != v1.ErrorReason_ERROR_REASON_POSITION_NOT_FOUND {
		return "", err
	}
	orders, err := maker.client.Orders.ListOrders(ctx, &v1.ListOrdersRequest{AccountId: *account, Symbol: *symbol, OpenOnly: true})
	if err != nil {
		return "", err
	}
	for _, order := range orders.GetOrders() {
		left += " order " + order.GetOrderId()
	}
	positions, err := maker.client.Positions.ListPositions(ctx, &v1.ListPositionsRequest{AccountId: *account})
	for _, position := range positions.GetPositions() {
		if position.GetSymbol() == *symbol {
			left += " position " + position.GetQuantity()
		}
	}
	return left, err
}
