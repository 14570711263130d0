// A market maker for a paper account: it quotes one bid below the market's and one ask above it, moves them with it,
// follows its fills, and on Ctrl+C, or after -seconds, cancels both and closes the position.
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
	ticks    = flag.Int64("ticks", 20, "how far each quote is from the best price, in price increments")
	most     = flag.Int64("most", 5, "the largest position, long or short, in quotes")
	interval = flag.Float64("interval", 0.2, "the least seconds between two moves of the quotes")
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
	held, err := client.GetPositions(ctx, *account)
	if err != nil {
		return err
	}
	maker := &maker{client: client, quantity: quantity, away: tick.Mul(decimal.NewFromInt(*ticks))}
	for _, position := range held.Open {
		if position.GetSymbol() == *symbol {
			maker.position = position.Quantity
		}
	}
	from := brokergate.From{Accounts: []string{*account}, Symbols: []string{*symbol}, After: held.Cursor}
	fills := client.Fills(ctx, from)
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
	fmt.Printf("placed %d, replaced %d, fills %d\n", maker.placed, maker.replaced, maker.fills)
	if err == nil {
		fmt.Println("flat")
	}
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
			MinInterval: durationpb.New(time.Duration(*interval * float64(time.Second))),
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
	quantity, away decimal.Decimal
	position       decimal.Decimal
	bid, ask       *brokergate.Order

	placed, replaced, fills int
}

func (maker *maker) filled(fill *brokergate.Fill) {
	maker.fills++
	if fill.GetSide() == brokergate.Buy {
		maker.position = maker.position.Add(fill.Quantity)
	} else {
		maker.position = maker.position.Sub(fill.Quantity)
	}
	log.Printf("%v %v at %v, position %v", fill.GetSide(), fill.Quantity, fill.Price, maker.position)
}

// move puts a quote behind each of the best prices; a side without one stays as it is.
func (maker *maker) move(ctx context.Context, quote brokergate.Quote) {
	most := maker.quantity.Mul(decimal.NewFromInt(*most))
	if quote.BidPrice.Valid {
		price := quote.BidPrice.Decimal.Sub(maker.away)
		maker.bid = maker.quote(ctx, maker.bid, brokergate.Buy, price, maker.position.LessThan(most))
	}
	if quote.AskPrice.Valid {
		price := quote.AskPrice.Decimal.Add(maker.away)
		maker.ask = maker.quote(ctx, maker.ask, brokergate.Sell, price, maker.position.GreaterThan(most.Neg()))
	}
}

// quote gives the order that works after the side's quote was moved to the price, or taken away where it is not wanted.
func (maker *maker) quote(
	ctx context.Context, order *brokergate.Order, side v1.Side, price decimal.Decimal, wanted bool,
) *brokergate.Order {
	target := brokergate.Account(*account)
	standing := order
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
	if brokergate.ReasonOf(err) == v1.ErrorReason_ERROR_REASON_ORDER_ENDED {
		return nil // it filled meanwhile
	}
	if err != nil {
		log.Printf("%v: %v", side, err)
		if standing == nil {
			return nil
		}
		// Somebody else changed it, or its outcome is not known yet: what it is now decides.
		if order, err = maker.client.GetOrder(ctx, target, brokergate.ByOrderID(standing.GetOrderId())); err != nil {
			return standing
		}
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
	held, err := maker.client.GetPositions(ctx, *account)
	if err != nil {
		return "", err
	}
	if held.Stale {
		left += " a position, as far as is known: the broker is away"
	}
	for _, position := range held.Open {
		if position.GetSymbol() == *symbol {
			left += " position " + position.Quantity.String()
		}
	}
	return left, nil
}
