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
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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
	maker := &maker{
		client: client, quantity: quantity, away: tick.Mul(decimal.NewFromInt(*ticks)),
		orders: map[v1.Side]*brokergate.Order{}, unanswered: map[v1.Side]brokergate.OrderSpec{},
	}
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

// final are the codes that a market stream ends with for good.
var final = map[codes.Code]bool{
	codes.InvalidArgument: true, codes.NotFound: true, codes.FailedPrecondition: true,
	codes.Unauthenticated: true, codes.PermissionDenied: true, codes.Unimplemented: true,
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
		if final[status.Code(err)] {
			return err
		}
		log.Printf("market data: %v", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// maker holds the two quotes; unanswered are those that were placed, and nobody knows whether.
type maker struct {
	client         *brokergate.Client
	quantity, away decimal.Decimal
	position       decimal.Decimal
	orders         map[v1.Side]*brokergate.Order
	unanswered     map[v1.Side]brokergate.OrderSpec

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
	room := maker.quantity.Mul(decimal.NewFromInt(*most - 1))
	if quote.BidPrice.Valid {
		wanted := maker.position.LessThanOrEqual(room)
		maker.quote(ctx, brokergate.Buy, quote.BidPrice.Decimal.Sub(maker.away), wanted)
	}
	if quote.AskPrice.Valid {
		wanted := maker.position.GreaterThanOrEqual(room.Neg())
		maker.quote(ctx, brokergate.Sell, quote.AskPrice.Decimal.Add(maker.away), wanted)
	}
}

// quote has the side's order work at the price, or not at all. Where that fails the next quote tries again.
func (maker *maker) quote(ctx context.Context, side v1.Side, price decimal.Decimal, wanted bool) {
	order := maker.orders[side]
	now, err := maker.moved(ctx, side, order, price, wanted)
	if err != nil && order != nil {
		if brokergate.ReasonOf(err) != v1.ErrorReason_ERROR_REASON_ORDER_ENDED {
			log.Printf("%v: %v", side, err)
		}
		// It filled, somebody else changed it, or the outcome is not known: what it is now decides.
		now, err = maker.client.GetOrder(ctx, brokergate.Account(*account), brokergate.ByOrderID(order.GetOrderId()))
	}
	switch {
	case err != nil:
		log.Printf("%v: %v", side, err)
	case now == nil || now.Ended():
		delete(maker.orders, side)
	default:
		maker.orders[side] = now
	}
}

// moved is the side's order as it is after what there was to do.
func (maker *maker) moved(
	ctx context.Context, side v1.Side, order *brokergate.Order, price decimal.Decimal, wanted bool,
) (*brokergate.Order, error) {
	target := brokergate.Account(*account)
	if order == nil {
		if _, open := maker.unanswered[side]; !wanted && !open {
			return nil, nil
		}
		return maker.place(ctx, side, price)
	}
	name := brokergate.ByOrderID(order.GetOrderId())
	if !wanted {
		return maker.client.Cancel(ctx, target, name, "")
	}
	if brokergate.MustDecimal(order.GetSpec().GetLimitPrice()).Equal(price) {
		// It may have filled here, or somebody else have ended it.
		return maker.client.GetOrder(ctx, target, name)
	}
	now, err := maker.client.Replace(ctx, target, name, order.GetGeneration(), brokergate.Change{LimitPrice: &price})
	if err == nil {
		maker.replaced++
	}
	return now, err
}

// place places a quote, or learns what became of one whose answer never came: under its id it is placed once.
func (maker *maker) place(ctx context.Context, side v1.Side, price decimal.Decimal) (*brokergate.Order, error) {
	spec, open := maker.unanswered[side]
	if !open {
		spec = brokergate.LimitOrder(*symbol, side, maker.quantity, price)
		spec.PostOnly = true
	}
	delete(maker.unanswered, side)
	placed, err := maker.client.Place(ctx, brokergate.Account(*account), spec)
	if err != nil {
		var failed *brokergate.Error
		if errors.As(err, &failed) && failed.OutcomeUnknown {
			spec.ClientOrderID = failed.RequestID
			maker.unanswered[side] = spec
		}
		return nil, err
	}
	if placed.GetState() == v1.OrderState_ORDER_STATE_REJECTED {
		log.Printf("%v: %v: %s", side, placed.GetRejectReason(), placed.GetRejectMessage())
	} else {
		maker.placed++
	}
	return &placed.Order, nil
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
