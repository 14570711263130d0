// The conformance runner of the Go client: one JSON step a line in, one answer a line out (clients/CONFORMANCE.md).
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	brokergate "brokergate/clients/go"
	v1 "brokergate/clients/go/brokergate/v1"
)

type step struct {
	Do                         string
	Address, Token             string
	CAFile                     string `json:"ca_file"`
	CertFile                   string `json:"cert_file"`
	KeyFile                    string `json:"key_file"`
	ServerName                 string `json:"server_name"`
	TimeoutMs                  int    `json:"timeout_ms"`
	CancelAfterMs              int    `json:"cancel_after_ms"`
	Count                      *int
	Take                       int
	Text, RPC, Request         string
	Requests                   []string
	AccountID                  string `json:"account_id"`
	Symbol, Side, Type         string
	Quantity                   *string
	LimitPrice                 *string `json:"limit_price"`
	StopPrice                  *string `json:"stop_price"`
	TimeInForce                string  `json:"time_in_force"`
	PostOnly                   bool    `json:"post_only"`
	ClientOrderID              string  `json:"client_order_id"`
	OrderID                    string  `json:"order_id"`
	ExpectedGeneration         uint32  `json:"expected_generation"`
	RequestID                  string  `json:"request_id"`
	Name, Stream, After, Start string
	Until                      string
	AccountIDs                 []string `json:"account_ids"`
	Symbols, Kinds             []string
	HeartbeatMs                int `json:"heartbeat_ms"`
	Summary                    bool
}

type object = map[string]any

var (
	client  *brokergate.Client
	options []brokergate.Option
	streams = map[string]*opened{}
)

func main() {
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	answers := json.NewEncoder(os.Stdout)
	answers.SetEscapeHTML(false)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return
		}
		if err := answers.Encode(answer(line)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func answer(line []byte) (said object) {
	defer func() {
		if panicked := recover(); panicked != nil {
			said = object{"failed": fmt.Sprint(panicked)}
		}
	}()
	var given step
	if err := json.Unmarshal(line, &given); err != nil {
		return object{"failed": err.Error()}
	}
	do, known := map[string]func(step) (object, error){
		"connect": connect, "disconnect": disconnect, "show": show, "new_id": newIDs, "decimal": readDecimal,
		"call": call, "stream_call": streamCall, "place": place, "replace": replace, "cancel": cancel,
		"open": open, "take": take, "stream": standing, "close": closeStream,
	}[given.Do]
	if !known {
		return object{"failed": "this runner does not know the step " + given.Do}
	}
	seen, err := do(given)
	if err == nil {
		return object{"ok": seen}
	}
	var typed *brokergate.Error
	if !errors.As(err, &typed) {
		return object{"failed": fmt.Sprintf("%T: %v", err, err)}
	}
	if given.CancelAfterMs > 0 && errors.Is(err, context.Canceled) {
		// The caller who gave up asks for no more.
		return object{"error": object{"code": "CANCELLED"}}
	}
	return object{"error": told(typed)}
}

func told(err *brokergate.Error) object {
	violations := []object{}
	for _, violation := range err.Violations {
		violations = append(violations, object{"field": violation.Field, "description": violation.Description})
	}
	metadata := err.Metadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	var delay any
	if err.RetryAfter > 0 {
		delay = err.RetryAfter.Milliseconds()
	}
	return object{
		"code": codeNames[err.Code], "reason": err.ReasonName, "message": err.Message, "violations": violations,
		"metadata": metadata, "retry_delay_ms": delay, "outcome_unknown": err.OutcomeUnknown, "id": err.RequestID,
	}
}

// gRPC's own names; Go writes them in camel case.
var codeNames = map[codes.Code]string{
	codes.OK: "OK", codes.Canceled: "CANCELLED", codes.Unknown: "UNKNOWN", codes.InvalidArgument: "INVALID_ARGUMENT",
	codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.NotFound: "NOT_FOUND", codes.AlreadyExists: "ALREADY_EXISTS",
	codes.PermissionDenied: "PERMISSION_DENIED", codes.ResourceExhausted: "RESOURCE_EXHAUSTED",
	codes.FailedPrecondition: "FAILED_PRECONDITION", codes.Aborted: "ABORTED", codes.OutOfRange: "OUT_OF_RANGE",
	codes.Unimplemented: "UNIMPLEMENTED", codes.Internal: "INTERNAL", codes.Unavailable: "UNAVAILABLE",
	codes.DataLoss: "DATA_LOSS", codes.Unauthenticated: "UNAUTHENTICATED",
}

func milliseconds(count int) time.Duration { return time.Duration(count) * time.Millisecond }

// within is the context of a unary step: with no time given the client's own deadline holds.
func within(given step) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	if given.TimeoutMs > 0 {
		ctx, cancel = context.WithTimeout(context.Background(), milliseconds(given.TimeoutMs))
	}
	if given.CancelAfterMs > 0 {
		time.AfterFunc(milliseconds(given.CancelAfterMs), cancel)
	}
	return ctx, cancel
}

func connect(given step) (object, error) {
	if _, err := disconnect(given); err != nil {
		return nil, err
	}
	options = nil
	if given.Token != "" {
		options = append(options, brokergate.WithToken(given.Token))
	}
	if given.TimeoutMs > 0 {
		options = append(options, brokergate.WithDeadline(milliseconds(given.TimeoutMs)))
	}
	if given.CAFile != "" {
		config, err := brokergate.TLSFiles(given.CAFile, given.CertFile, given.KeyFile)
		if err != nil {
			return nil, err
		}
		config.ServerName = given.ServerName
		options = append(options, brokergate.WithTLS(config))
	}
	made, err := brokergate.Connect(given.Address, options...)
	if err != nil {
		return nil, err
	}
	client = made
	return object{}, nil
}

func disconnect(step) (object, error) {
	for name := range streams {
		if _, err := closeStream(step{Name: name}); err != nil {
			return nil, err
		}
	}
	if client == nil {
		return object{}, nil
	}
	err := client.Close()
	client = nil
	return object{}, err
}

func show(step) (object, error) {
	var text strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		fmt.Fprintf(&text, verb+"\n", client)
		fmt.Fprintf(&text, verb+"\n", options)
		fmt.Fprintf(&text, verb+"\n", *client)
	}
	return object{"text": text.String()}, nil
}

func newIDs(given step) (object, error) {
	ids := make([]string, *given.Count)
	for index := range ids {
		ids[index] = brokergate.NewID()
	}
	return object{"ids": ids}, nil
}

func readDecimal(given step) (object, error) {
	number, err := brokergate.Decimal("text", given.Text)
	return object{"text": brokergate.Text(number)}, err
}

// method gives gRPC's name of an RPC, and its types.
func method(rpc string) (string, protoreflect.MethodDescriptor, error) {
	if !strings.HasPrefix(rpc, "brokergate.v1.") {
		rpc = "brokergate.v1." + rpc
	}
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(rpc, "/", ".")))
	if err != nil {
		return "", nil, err
	}
	return "/" + rpc, found.(protoreflect.MethodDescriptor), nil
}

func made(of protoreflect.MessageDescriptor) (proto.Message, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(of.FullName())
	if err != nil {
		return nil, err
	}
	return kind.New().Interface(), nil
}

func parsed(of protoreflect.MessageDescriptor, text string) (proto.Message, error) {
	message, err := made(of)
	if err != nil {
		return nil, err
	}
	wire, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	return message, proto.Unmarshal(wire, message)
}

func serialised(message proto.Message) (string, error) {
	wire, err := proto.Marshal(message)
	return base64.StdEncoding.EncodeToString(wire), err
}

func call(given step) (object, error) {
	name, description, err := method(given.RPC)
	if err != nil {
		return nil, err
	}
	request, err := parsed(description.Input(), given.Request)
	if err != nil {
		return nil, err
	}
	response, err := made(description.Output())
	if err != nil {
		return nil, err
	}
	ctx, cancel := within(given)
	defer cancel()
	if err := client.Conn().Invoke(ctx, name, request, response, brokergate.AsGiven{}); err != nil {
		return nil, err
	}
	text, err := serialised(response)
	return object{"response": text}, err
}

func streamCall(given step) (object, error) {
	name, description, err := method(given.RPC)
	if err != nil {
		return nil, err
	}
	ctx, cancel := within(given)
	defer cancel()
	call, err := client.Conn().NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, name, brokergate.AsGiven{})
	if err != nil {
		return nil, err
	}
	for _, text := range given.Requests {
		request, err := parsed(description.Input(), text)
		if err != nil {
			return nil, err
		}
		// io.EOF says that the call has ended; receiving tells why.
		if err := call.SendMsg(request); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
	}
	if err := call.CloseSend(); err != nil {
		return nil, err
	}
	responses := []string{}
	for given.Take == 0 || len(responses) < given.Take {
		response, err := made(description.Output())
		if err != nil {
			return nil, err
		}
		if err := call.RecvMsg(response); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		text, err := serialised(response)
		if err != nil {
			return nil, err
		}
		responses = append(responses, text)
	}
	return object{"responses": responses}, nil
}

// read reads decimals that may be absent.
type read struct{ err error }

func (read *read) decimal(field string, text *string) *decimal.Decimal {
	if text == nil {
		return nil
	}
	number, err := brokergate.Decimal(field, *text)
	if err != nil && read.err == nil {
		read.err = err
	}
	return &number
}

func valueOf[Enum ~int32](values map[string]int32, prefix, name string) Enum {
	value, known := values[prefix+name]
	if !known && name != "" {
		panic("no " + prefix + name)
	}
	return Enum(value)
}

func nameOf(value interface {
	protoreflect.Enum
	fmt.Stringer
}, prefix string) string {
	return strings.TrimPrefix(value.String(), prefix)
}

func place(given step) (object, error) {
	var from read
	spec := brokergate.OrderSpec{
		ClientOrderID: given.ClientOrderID,
		Symbol:        given.Symbol,
		Side:          valueOf[v1.Side](v1.Side_value, "SIDE_", given.Side),
		Type:          valueOf[v1.OrderType](v1.OrderType_value, "ORDER_TYPE_", given.Type),
		TimeInForce:   valueOf[v1.TimeInForce](v1.TimeInForce_value, "TIME_IN_FORCE_", given.TimeInForce),
		Quantity:      from.decimal("order.quantity", given.Quantity),
		LimitPrice:    from.decimal("order.limit_price", given.LimitPrice),
		StopPrice:     from.decimal("order.stop_price", given.StopPrice),
		PostOnly:      given.PostOnly,
	}
	if from.err != nil {
		return nil, from.err
	}
	ctx, cancel := within(given)
	defer cancel()
	placed, err := client.Place(ctx, brokergate.Account(given.AccountID), spec)
	if err != nil {
		return nil, err
	}
	return object{"order": toldOrder(placed.Order), "already_existed": placed.AlreadyExisted}, nil
}

func named(given step) *v1.OrderRef {
	if given.OrderID != "" {
		return brokergate.ByOrderID(given.OrderID)
	}
	return brokergate.ByClientOrderID(given.ClientOrderID)
}

func replace(given step) (object, error) {
	var from read
	change := brokergate.Change{
		RequestID:  given.RequestID,
		Quantity:   from.decimal("quantity", given.Quantity),
		LimitPrice: from.decimal("limit_price", given.LimitPrice),
	}
	if from.err != nil {
		return nil, from.err
	}
	ctx, cancel := within(given)
	defer cancel()
	order, err := client.Replace(ctx, brokergate.Account(given.AccountID), named(given), given.ExpectedGeneration, change)
	if err != nil {
		return nil, err
	}
	return object{"order": toldOrder(*order)}, nil
}

func cancel(given step) (object, error) {
	ctx, cancel := within(given)
	defer cancel()
	order, err := client.Cancel(ctx, brokergate.Account(given.AccountID), named(given), given.RequestID)
	if err != nil {
		return nil, err
	}
	return object{"order": toldOrder(*order)}, nil
}

func toldOrder(order brokergate.Order) object {
	var limit, average any
	if order.Spec.LimitPrice != nil {
		limit = brokergate.Text(brokergate.MustDecimal(order.GetSpec().GetLimitPrice()))
	}
	if order.AveragePrice.Valid {
		average = brokergate.Text(order.AveragePrice.Decimal)
	}
	return object{
		"order_id": order.GetOrderId(), "client_order_id": order.GetClientOrderId(), "account_id": order.GetAccountId(),
		"symbol": order.GetSpec().GetSymbol(), "side": nameOf(order.GetSpec().GetSide(), "SIDE_"),
		"type": nameOf(order.GetSpec().GetType(), "ORDER_TYPE_"), "state": nameOf(order.GetState(), "ORDER_STATE_"),
		"generation": order.GetGeneration(), "quantity": brokergate.Text(order.Quantity),
		"cum_quantity": brokergate.Text(order.CumQuantity), "leaves_quantity": brokergate.Text(order.LeavesQuantity),
		"limit_price": limit, "average_price": average,
		"reject_reason": nameOf(order.GetRejectReason(), "ERROR_REASON_"),
	}
}

// item is what `take` tells of one fill or event.
type item struct {
	account  string
	sequence uint64
	told     func() object
}

// opened is a stream with a goroutine that reads one item ahead.
type opened struct {
	items interface {
		Close()
		Cursor() string
		CaughtUp() <-chan struct{}
		Reconnects() int
	}
	next    chan item
	ended   chan struct{}
	err     error // why it ended
	highest map[string]uint64
	rising  bool
}

func open(given step) (object, error) {
	from := brokergate.From{
		Accounts: given.AccountIDs, After: given.After, Symbols: given.Symbols, Heartbeat: milliseconds(given.HeartbeatMs),
	}
	if at, err := time.Parse(time.RFC3339, given.Start); err == nil {
		from.StartTime = at
	} else {
		from.Start = valueOf[v1.StartPosition](v1.StartPosition_value, "START_POSITION_", given.Start)
	}
	for _, kind := range given.Kinds {
		from.Kinds = append(from.Kinds, valueOf[v1.EventKind](v1.EventKind_value, "EVENT_KIND_", kind))
	}
	stream := &opened{
		next: make(chan item), ended: make(chan struct{}), highest: map[string]uint64{}, rising: true,
	}
	if given.Stream == "fills" {
		fills := client.Fills(context.Background(), from)
		stream.items = fills
		go stream.read(func() (item, bool, error) {
			fill, err := fills.Next()
			if err != nil {
				return item{}, false, err
			}
			return item{fill.GetAccountId(), fill.Sequence, func() object { return toldFill(fill) }}, true, nil
		})
	} else {
		events := client.Events(context.Background(), from)
		stream.items = events
		go stream.read(func() (item, bool, error) {
			found, err := events.Next()
			if err != nil || found.Event == nil {
				return item{}, false, err
			}
			event := found.Event
			return item{event.GetAccountId(), event.GetSequence(), func() object { return toldEvent(found) }}, true, nil
		})
	}
	streams[given.Name] = stream
	return object{}, nil
}

func (stream *opened) read(next func() (item, bool, error)) {
	for {
		found, is, err := next()
		if err != nil {
			stream.err = err
			close(stream.ended)
			return
		}
		if is {
			stream.next <- found
		}
	}
}

func take(given step) (object, error) {
	stream := streams[given.Name]
	if given.TimeoutMs == 0 {
		given.TimeoutMs = 20_000
	}
	timeout := time.After(milliseconds(given.TimeoutMs))
	items := []object{}
	count, caughtUp := 0, given.Until == "caught_up"
	var live <-chan struct{}
	seen := object{}
	var last item
taking:
	for given.Count == nil || count < *given.Count {
		if caughtUp {
			live = stream.items.CaughtUp()
		}
		select {
		case last = <-stream.next:
			count++
			if !given.Summary {
				items = append(items, last.told())
			}
			stream.rising = stream.rising && last.sequence > stream.highest[last.account]
			stream.highest[last.account] = last.sequence
		case <-stream.ended:
			return nil, stream.err
		case <-live:
			seen["caught_up"] = true
			break taking
		case <-timeout:
			seen["timed_out"] = true
			break taking
		}
	}
	if given.Summary {
		seen["count"], seen["in_order"], seen["last"] = count, stream.rising, nil
		if count > 0 {
			seen["last"] = last.told()
		}
	} else {
		seen["items"] = items
	}
	return seen, nil
}

func toldFill(fill *brokergate.Fill) object {
	fees := []object{}
	for _, fee := range fill.Fees {
		fees = append(fees, object{"amount": brokergate.Text(fee.Amount), "currency_code": fee.CurrencyCode})
	}
	return object{
		"event_id": fill.EventID, "account_id": fill.GetAccountId(), "sequence": fmt.Sprint(fill.Sequence),
		"cursor": fill.Cursor, "fill_id": fill.GetFillId(), "client_order_id": fill.GetClientOrderId(),
		"symbol": fill.GetSymbol(), "side": nameOf(fill.GetSide(), "SIDE_"), "quantity": brokergate.Text(fill.Quantity),
		"price": brokergate.Text(fill.Price), "kind": nameOf(fill.GetKind(), "FILL_KIND_"),
		"liquidity": nameOf(fill.GetLiquidity(), "LIQUIDITY_"), "fees": fees,
	}
}

func toldEvent(found *brokergate.EventItem) object {
	event := found.Event
	kind := "UNKNOWN"
	reflected := event.ProtoReflect()
	if field := reflected.WhichOneof(reflected.Descriptor().Oneofs().ByName("payload")); field != nil {
		kind = strings.ToUpper(string(field.Name()))
	}
	return object{
		"event_id": event.GetEventId(), "account_id": event.GetAccountId(), "sequence": fmt.Sprint(event.GetSequence()),
		"cursor": found.Cursor, "kind": kind,
	}
}

func standing(given step) (object, error) {
	stream := streams[given.Name].items
	return object{"cursor": stream.Cursor(), "reconnects": stream.Reconnects()}, nil
}

func closeStream(given step) (object, error) {
	stream := streams[given.Name]
	delete(streams, given.Name)
	stream.items.Close()
	// The reader may be handing over its item still; its end says that nothing is open any more.
	for {
		select {
		case <-stream.next:
		case <-stream.ended:
			return object{}, nil
		}
	}
}
