package brokergate

import (
	"context"
	"errors"
	"time"

	"github.com/shopspring/decimal"
	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "brokergate/clients/go/brokergate/v1"
)

// The two sides.
const (
	Buy  = v1.Side_SIDE_BUY
	Sell = v1.Side_SIDE_SELL
)

// Target is where an order goes: Account or Route.
type Target struct{ account, route string }

// Account is the account with this id.
func Account(id string) Target { return Target{account: id} }

// Route is the route with this id.
func Route(id string) Target { return Target{route: id} }

// ByOrderID names an order by the gateway's id.
func ByOrderID(id string) *v1.OrderRef { return &v1.OrderRef{Id: &v1.OrderRef_OrderId{OrderId: id}} }

// ByClientOrderID names an order by the client's id.
func ByClientOrderID(id string) *v1.OrderRef {
	return &v1.OrderRef{Id: &v1.OrderRef_ClientOrderId{ClientOrderId: id}}
}

// OrderSpec is what an order asks for. MarketOrder and LimitOrder begin one; the contract says what belongs to which
// type.
type OrderSpec struct {
	// ClientOrderID makes repeating safe, for ever. One is made where it is empty.
	ClientOrderID string
	Symbol        string
	Side          v1.Side
	Type          v1.OrderType
	// Quantity or QuoteQuantity: units of the instrument, or units of the quote currency to spend or raise.
	Quantity, QuoteQuantity   *decimal.Decimal
	LimitPrice, StopPrice     *decimal.Decimal
	TrailAmount, TrailPercent *decimal.Decimal
	DisplayQuantity           *decimal.Decimal
	TriggerSource             v1.TriggerSource
	TimeInForce               v1.TimeInForce
	ExpireTime                time.Time
	PostOnly                  bool
	ReduceOnly                bool
	ExtendedHours             bool
	SelfTradePrevention       v1.SelfTradePrevention
	// TakeProfit and StopLoss make the entry of a bracket of it.
	TakeProfit, StopLoss *Leg
	// OCO are the other members of a group of which one fills.
	OCO                   []OrderSpec
	Labels, BrokerOptions map[string]string
}

// Leg is one closing order of a bracket. Without a ClientOrderID it is named after its entry (`-tp`, `-sl`).
type Leg struct {
	ClientOrderID         string
	LimitPrice, StopPrice *decimal.Decimal
}

// MarketOrder takes what the market offers.
func MarketOrder(symbol string, side v1.Side, quantity decimal.Decimal) OrderSpec {
	return OrderSpec{Symbol: symbol, Side: side, Type: v1.OrderType_ORDER_TYPE_MARKET, Quantity: &quantity}
}

// LimitOrder trades at the price or better.
func LimitOrder(symbol string, side v1.Side, quantity, price decimal.Decimal) OrderSpec {
	return OrderSpec{
		Symbol: symbol, Side: side, Type: v1.OrderType_ORDER_TYPE_LIMIT, Quantity: &quantity, LimitPrice: &price,
	}
}

// Message is the specification as the contract writes it.
func (spec OrderSpec) Message() (*v1.OrderSpec, error) {
	message := &v1.OrderSpec{
		Symbol:              spec.Symbol,
		Side:                spec.Side,
		Type:                spec.Type,
		LimitPrice:          optionalText(spec.LimitPrice),
		StopPrice:           optionalText(spec.StopPrice),
		TrailAmount:         optionalText(spec.TrailAmount),
		TrailPercent:        optionalText(spec.TrailPercent),
		DisplayQuantity:     optionalText(spec.DisplayQuantity),
		TriggerSource:       spec.TriggerSource,
		TimeInForce:         spec.TimeInForce,
		ExpireTime:          timestamp(spec.ExpireTime),
		PostOnly:            spec.PostOnly,
		ReduceOnly:          spec.ReduceOnly,
		ExtendedHours:       spec.ExtendedHours,
		SelfTradePrevention: spec.SelfTradePrevention,
		TakeProfit:          spec.TakeProfit.message(),
		StopLoss:            spec.StopLoss.message(),
		Labels:              spec.Labels,
		BrokerOptions:       spec.BrokerOptions,
	}
	switch {
	case spec.Quantity != nil && spec.QuoteQuantity != nil:
		// On the wire one would silently replace the other.
		return nil, errors.New("Quantity and QuoteQuantity are both set; give one")
	case spec.Quantity != nil:
		message.Size = &v1.OrderSpec_Quantity{Quantity: Text(*spec.Quantity)}
	case spec.QuoteQuantity != nil:
		message.Size = &v1.OrderSpec_QuoteQuantity{QuoteQuantity: Text(*spec.QuoteQuantity)}
	}
	return message, nil
}

func (leg *Leg) message() *v1.ProtectiveLeg {
	if leg == nil {
		return nil
	}
	return &v1.ProtectiveLeg{
		ClientOrderId: leg.ClientOrderID, LimitPrice: optionalText(leg.LimitPrice), StopPrice: optionalText(leg.StopPrice),
	}
}

func timestamp(at time.Time) *timestamppb.Timestamp {
	if at.IsZero() {
		return nil
	}
	return timestamppb.New(at)
}

// Order is an order as it stands: the contract's message, whose decimals stand here as numbers.
type Order struct {
	*v1.Order
	Quantity, CumQuantity, LeavesQuantity, CumNotional decimal.Decimal
	// AveragePrice is valid once something has filled.
	AveragePrice decimal.NullDecimal
}

// NewOrder reads the contract's message.
func NewOrder(message *v1.Order) (Order, error) {
	var from reading
	order := Order{
		Order:          message,
		Quantity:       from.decimal("quantity", message.GetQuantity()),
		CumQuantity:    from.decimal("cum_quantity", message.GetCumQuantity()),
		LeavesQuantity: from.decimal("leaves_quantity", message.GetLeavesQuantity()),
		CumNotional:    from.decimal("cum_notional", message.GetCumNotional()),
		AveragePrice:   from.optional("average_price", message.AveragePrice),
	}
	return order, from.err
}

// Ended says whether the order will not fill any more.
func (order Order) Ended() bool {
	switch order.GetState() {
	case v1.OrderState_ORDER_STATE_FILLED, v1.OrderState_ORDER_STATE_CANCELED, v1.OrderState_ORDER_STATE_REJECTED,
		v1.OrderState_ORDER_STATE_EXPIRED:
		return true
	}
	return false
}

// Placed is the answer to Place. An order that a rule or the venue refused is no error: its state is REJECTED.
type Placed struct {
	Order
	// AlreadyExisted says that the id was known, and nothing new was placed.
	AlreadyExisted bool
	// Linked are the other orders of a bracket (take-profit, stop-loss) or OCO group.
	Linked []Order
}

// Place places an order, or a bracket or OCO group as a whole, and gives it as it then stands. Its context's deadline,
// or the client's, bounds the repeats; after that the Error says whether it may have been placed, and under which id.
func (client *Client) Place(ctx context.Context, target Target, spec OrderSpec) (*Placed, error) {
	order, err := spec.Message()
	if err != nil {
		return nil, err
	}
	request := &v1.PlaceOrderRequest{ClientOrderId: spec.ClientOrderID, Order: order}
	if target.route != "" {
		request.Target = &v1.PlaceOrderRequest_RouteId{RouteId: target.route}
	} else {
		request.Target = &v1.PlaceOrderRequest_AccountId{AccountId: target.account}
	}
	for _, other := range spec.OCO {
		linked, err := other.Message()
		if err != nil {
			return nil, err
		}
		request.OcoOrders = append(request.OcoOrders, &v1.LinkedOrder{ClientOrderId: other.ClientOrderID, Order: linked})
	}
	answer, err := client.Orders.PlaceOrder(ctx, request)
	if err != nil {
		return nil, err
	}
	placed := &Placed{AlreadyExisted: answer.GetAlreadyExisted()}
	if placed.Order, err = NewOrder(answer.GetOrder()); err != nil {
		return nil, err
	}
	for _, message := range answer.GetLinkedOrders() {
		linked, err := NewOrder(message)
		if err != nil {
			return nil, err
		}
		placed.Linked = append(placed.Linked, linked)
	}
	return placed, nil
}

// Change is what Replace changes; what is nil stays as it is. Quantity is the new total, what is filled included.
type Change struct {
	// RequestID makes the repeat safe; one is made where it is empty.
	RequestID                                                  string
	Quantity, LimitPrice, StopPrice, TrailAmount, TrailPercent *decimal.Decimal
	DisplayQuantity                                            *decimal.Decimal
	ExpireTime                                                 time.Time
}

// Replace changes a working order that is of this generation still.
func (client *Client) Replace(
	ctx context.Context, target Target, order *v1.OrderRef, generation uint32, change Change,
) (*Order, error) {
	request := &v1.ReplaceOrderRequest{
		Order:              order,
		RequestId:          change.RequestID,
		ExpectedGeneration: generation,
		Quantity:           optionalText(change.Quantity),
		LimitPrice:         optionalText(change.LimitPrice),
		StopPrice:          optionalText(change.StopPrice),
		TrailAmount:        optionalText(change.TrailAmount),
		TrailPercent:       optionalText(change.TrailPercent),
		DisplayQuantity:    optionalText(change.DisplayQuantity),
		ExpireTime:         timestamp(change.ExpireTime),
	}
	if target.route != "" {
		request.Target = &v1.ReplaceOrderRequest_RouteId{RouteId: target.route}
	} else {
		request.Target = &v1.ReplaceOrderRequest_AccountId{AccountId: target.account}
	}
	answer, err := client.Orders.ReplaceOrder(ctx, request)
	return orderOf(answer.GetOrder(), err)
}

// Cancel cancels a working order; it may have filled first. requestID makes the repeat safe; one is made where it is
// empty. (Orders.CancelOrder can keep an order that is not known from ever being placed.)
func (client *Client) Cancel(ctx context.Context, target Target, order *v1.OrderRef, requestID string) (*Order, error) {
	request := &v1.CancelOrderRequest{Order: order, RequestId: requestID}
	if target.route != "" {
		request.Target = &v1.CancelOrderRequest_RouteId{RouteId: target.route}
	} else {
		request.Target = &v1.CancelOrderRequest_AccountId{AccountId: target.account}
	}
	answer, err := client.Orders.CancelOrder(ctx, request)
	return orderOf(answer.GetOrder(), err)
}

// GetOrder gives an order as it now stands.
func (client *Client) GetOrder(ctx context.Context, target Target, order *v1.OrderRef) (*Order, error) {
	request := &v1.GetOrderRequest{Order: order}
	if target.route != "" {
		request.Target = &v1.GetOrderRequest_RouteId{RouteId: target.route}
	} else {
		request.Target = &v1.GetOrderRequest_AccountId{AccountId: target.account}
	}
	answer, err := client.Orders.GetOrder(ctx, request)
	return orderOf(answer.GetOrder(), err)
}

func orderOf(message *v1.Order, err error) (*Order, error) {
	if err != nil {
		return nil, err
	}
	order, err := NewOrder(message)
	if err != nil {
		return nil, err
	}
	return &order, nil
}

// Position is what an account holds of one instrument, below zero if short.
type Position struct {
	*v1.Position
	Quantity, Cost          decimal.Decimal
	AveragePrice, MarkPrice decimal.NullDecimal
}

// Positions are those of an account that are not flat. A stream after Cursor misses nothing. Where Stale is set the broker is
// away, and they are what was known last: not to be traded by.
type Positions struct {
	Open   []Position
	Cursor string
	Stale  bool
}

// GetPositions gives the account's positions.
func (client *Client) GetPositions(ctx context.Context, account string) (*Positions, error) {
	answer, err := client.Positions.ListPositions(ctx, &v1.ListPositionsRequest{AccountId: account})
	if err != nil {
		return nil, err
	}
	var from reading
	positions := &Positions{Cursor: answer.GetCursor(), Stale: answer.GetStale()}
	for _, message := range answer.GetPositions() {
		positions.Open = append(positions.Open, Position{
			Position:     message,
			Quantity:     from.decimal("quantity", message.GetQuantity()),
			Cost:         from.decimal("cost", message.GetCost()),
			AveragePrice: from.optional("average_price", message.AveragePrice),
			MarkPrice:    from.optional("mark_price", message.MarkPrice),
		})
	}
	if from.err != nil {
		return nil, from.err
	}
	return positions, nil
}

// Quote is the best bid and ask; a price is not valid where nobody bids or offers.
type Quote struct {
	*v1.Quote
	BidPrice, BidQuantity, AskPrice, AskQuantity, LastPrice decimal.NullDecimal
}

// NewQuote reads the contract's message.
func NewQuote(message *v1.Quote) (Quote, error) {
	var from reading
	quote := Quote{
		Quote:       message,
		BidPrice:    from.optional("bid_price", message.BidPrice),
		BidQuantity: from.optional("bid_quantity", message.BidQuantity),
		AskPrice:    from.optional("ask_price", message.AskPrice),
		AskQuantity: from.optional("ask_quantity", message.AskQuantity),
		LastPrice:   from.optional("last_price", message.LastPrice),
	}
	return quote, from.err
}

// Cursor is where the account's journal stands now: take it before placing, and stream fills after it.
func (client *Client) Cursor(ctx context.Context, account string) (string, error) {
	answer, err := client.Accounts.GetAccount(ctx, &v1.GetAccountRequest{AccountId: account})
	return answer.GetCursor(), err
}
