package brokergate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	v1 "brokergate/clients/go/brokergate/v1"
)

// fake is a gateway that answers as a test says, over a real socket. Orders and fill streams take one script after
// another; the last one serves all that come after it.
type fake struct {
	v1.UnimplementedOrderServiceServer
	v1.UnimplementedEventServiceServer
	v1.UnimplementedPositionServiceServer

	mutex   sync.Mutex
	orders  []func(*v1.PlaceOrderRequest) (*v1.PlaceOrderResponse, error)
	streams []func(*v1.StreamFillsRequest, grpc.ServerStreamingServer[v1.StreamFillsResponse]) error
	placed  []*v1.PlaceOrderRequest
	opened  []*v1.StreamFillsRequest
	tokens  []string
}

func (fake *fake) PlaceOrder(ctx context.Context, request *v1.PlaceOrderRequest) (*v1.PlaceOrderResponse, error) {
	fake.mutex.Lock()
	fake.placed = append(fake.placed, request)
	given, _ := metadata.FromIncomingContext(ctx)
	fake.tokens = append(fake.tokens, given.Get("authorization")...)
	script := fake.orders[min(len(fake.placed), len(fake.orders))-1]
	fake.mutex.Unlock()
	return script(request)
}

func (fake *fake) StreamFills(
	request *v1.StreamFillsRequest, stream grpc.ServerStreamingServer[v1.StreamFillsResponse],
) error {
	fake.mutex.Lock()
	fake.opened = append(fake.opened, request)
	script := fake.streams[min(len(fake.opened), len(fake.streams))-1]
	fake.mutex.Unlock()
	return script(request, stream)
}

func (*fake) ListPositions(context.Context, *v1.ListPositionsRequest) (*v1.ListPositionsResponse, error) {
	held := &v1.Position{Symbol: "AAPL", Quantity: "-1.50", Cost: "285"}
	return &v1.ListPositionsResponse{Positions: []*v1.Position{held}, Cursor: "c1", Stale: true}, nil
}

func (fake *fake) serve(t *testing.T, options ...Option) *Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	v1.RegisterOrderServiceServer(server, fake)
	v1.RegisterEventServiceServer(server, fake)
	v1.RegisterPositionServiceServer(server, fake)
	go func() { _ = server.Serve(listener) }()
	client, err := Connect(listener.Addr().String(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Close()
		server.Stop()
	})
	return client
}

func refusal(code codes.Code, reason string, delay time.Duration) error {
	said, err := status.New(code, "as the test says").WithDetails(
		&errdetails.ErrorInfo{Domain: domain, Reason: reason, Metadata: map[string]string{"fact": "1"}},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "order", Description: "bad"}}},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(delay)},
	)
	if err != nil {
		return err
	}
	return said.Err()
}

func refuse(code codes.Code, reason string) func(*v1.PlaceOrderRequest) (*v1.PlaceOrderResponse, error) {
	return func(*v1.PlaceOrderRequest) (*v1.PlaceOrderResponse, error) {
		return nil, refusal(code, reason, time.Millisecond)
	}
}

// later puts the repeat past every deadline.
func later(*v1.PlaceOrderRequest) (*v1.PlaceOrderResponse, error) {
	return nil, refusal(codes.Unavailable, "RECOVERING", time.Hour)
}

func lose(*v1.PlaceOrderRequest) (*v1.PlaceOrderResponse, error) {
	return nil, status.Error(codes.Unavailable, "the connection broke")
}

func fill(request *v1.PlaceOrderRequest) (*v1.PlaceOrderResponse, error) {
	price := "60000.5"
	return &v1.PlaceOrderResponse{Order: &v1.Order{
		ClientOrderId: request.GetClientOrderId(), State: v1.OrderState_ORDER_STATE_FILLED, Quantity: "0.10",
		CumQuantity: "0.1", LeavesQuantity: "0", CumNotional: "6000.05", AveragePrice: &price,
	}}, nil
}

var anOrder = MarketOrder("BTC/USDT", Buy, MustDecimal("0.1"))

func placed(t *testing.T, client *Client, spec OrderSpec) (*Placed, *Error) {
	t.Helper()
	order, err := client.Place(t.Context(), Account("paper"), spec)
	var typed *Error
	if err != nil && !errors.As(err, &typed) {
		t.Fatalf("%T is no Error: %v", err, err)
	}
	return order, typed
}

func TestAnOrderIsRepeatedUnderTheSameIDUntilItIsAnswered(t *testing.T) {
	fake := &fake{}
	fake.orders = append(fake.orders, refuse(codes.Unavailable, "RECOVERING"), lose, fill)
	order, err := placed(t, fake.serve(t), anOrder)
	if err != nil {
		t.Fatal(err)
	}
	if len(fake.placed) != 3 {
		t.Fatalf("asked %d times", len(fake.placed))
	}
	for _, request := range fake.placed {
		if id := request.GetClientOrderId(); len(id) != 26 || id != order.GetClientOrderId() {
			t.Errorf("the order went out as %q and came back as %q", id, order.GetClientOrderId())
		}
	}
	if !order.AveragePrice.Decimal.Equal(MustDecimal("60000.5")) || !order.Quantity.Equal(order.CumQuantity) || !order.Ended() {
		t.Errorf("read %+v", order.Order)
	}
}

func TestALostAnswerNamesTheIDWhenTimeRunsOut(t *testing.T) {
	fake := &fake{}
	fake.orders = append(fake.orders, lose, later)
	_, err := placed(t, fake.serve(t), anOrder)
	if err == nil || !err.OutcomeUnknown || err.RequestID != fake.placed[0].GetClientOrderId() {
		t.Fatalf("got %+v", err)
	}
	if !strings.Contains(err.Error(), err.RequestID) {
		t.Errorf("the text does not say the id: %v", err)
	}
}

func TestAGatewayThatNeverTookItLeavesNoDoubt(t *testing.T) {
	fake := &fake{}
	fake.orders = append(fake.orders, later)
	_, err := placed(t, fake.serve(t), anOrder)
	if err == nil || err.Code != codes.Unavailable || err.OutcomeUnknown || err.RequestID == "" {
		t.Fatalf("got %+v", err)
	}
}

func TestTheGatewaysWordEndsTheDoubtAndIsTyped(t *testing.T) {
	fake := &fake{}
	fake.orders = append(fake.orders, lose, refuse(codes.InvalidArgument, "PRICE_OFF_TICK"))
	_, err := placed(t, fake.serve(t), anOrder)
	if err == nil || err.OutcomeUnknown || err.Code != codes.InvalidArgument || len(fake.placed) != 2 {
		t.Fatalf("got %+v after %d", err, len(fake.placed))
	}
	if ReasonOf(err) != v1.ErrorReason_ERROR_REASON_PRICE_OFF_TICK || err.ReasonName != "PRICE_OFF_TICK" {
		t.Errorf("the reason is %v, %q", err.Reason, err.ReasonName)
	}
	if err.Metadata["fact"] != "1" || err.Violations[0] != (FieldViolation{"order", "bad"}) || err.RetryAfter != time.Millisecond {
		t.Errorf("the details are %+v", err)
	}
}

func TestAReasonOfANewerGatewayIsKeptAsText(t *testing.T) {
	fake := &fake{}
	fake.orders = append(fake.orders, refuse(codes.FailedPrecondition, "FULL_MOON"))
	_, err := placed(t, fake.serve(t), anOrder)
	if err == nil || err.ReasonName != "FULL_MOON" || err.Reason != v1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		t.Fatalf("got %+v", err)
	}
}

func TestACallEndsWithItsContextAndItsClient(t *testing.T) {
	fake := &fake{}
	fake.orders = append(fake.orders, lose)
	client := fake.serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := client.Place(ctx, Account("paper"), anOrder)
	if code := status.Code(err); code != codes.Unavailable && code != codes.DeadlineExceeded {
		t.Errorf("at its deadline %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := client.Place(ctx, Account("paper"), anOrder); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled, %v", err)
	}
	time.AfterFunc(50*time.Millisecond, func() { _ = client.Close() })
	if _, err := client.Place(t.Context(), Account("paper"), anOrder); !errors.Is(err, ErrClosed) {
		t.Errorf("closed, %v", err)
	}
}

func TestABracketsLegsAreNamedAfterTheirEntry(t *testing.T) {
	fake := &fake{}
	fake.orders = append(fake.orders, lose, fill)
	price := MustDecimal("1")
	spec := anOrder
	spec.TakeProfit, spec.StopLoss = &Leg{LimitPrice: &price}, &Leg{ClientOrderID: "mine", StopPrice: &price}
	spec.OCO = []OrderSpec{anOrder}
	if _, err := placed(t, fake.serve(t), spec); err != nil {
		t.Fatal(err)
	}
	for _, request := range fake.placed {
		id := request.GetClientOrderId()
		legs := []string{
			request.GetOrder().GetTakeProfit().GetClientOrderId(), request.GetOrder().GetStopLoss().GetClientOrderId(),
			request.GetOcoOrders()[0].GetClientOrderId(),
		}
		if !slices.Equal(legs, []string{id + "-tp", "mine", id + "-2"}) {
			t.Errorf("%s has the legs %v", id, legs)
		}
	}
}

func TestPositionsOfABrokerThatIsAwayAreStale(t *testing.T) {
	positions, err := new(fake).serve(t).GetPositions(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	if !positions.Stale || positions.Cursor != "c1" || len(positions.Open) != 1 || positions.Open[0].Quantity.String() != "-1.5" {
		t.Errorf("%+v", positions)
	}
}

func TestDecimalsAreExactToTheirLimits(t *testing.T) {
	for _, text := range []string{"0", "-1", "0.1", "99999999999999999999.999999999999999999", "-0.000000000000000001"} {
		number, err := Decimal("price", text)
		if err != nil || Text(number) != text {
			t.Errorf("%q became %q, %v", text, Text(number), err)
		}
	}
	for _, text := range []string{"", "1e5", "NaN", "+1", "1.", ".1", " 1", "1\n", "٣", "100000000000000000000", "0.0000000000000000001"} {
		if _, err := Decimal("price", text); ReasonOf(err) != v1.ErrorReason_ERROR_REASON_INVALID_FIELD {
			t.Errorf("%q gave %v", text, err)
		}
	}
	if text := Text(decimal.New(12, 3)); text != "12000" {
		t.Errorf("12e3 is written %s", text)
	}
}

func TestANumberThatTheContractDoesNotAllowIsNotSent(t *testing.T) {
	fake := &fake{}
	fake.orders = append(fake.orders, fill)
	client := fake.serve(t)
	for _, price := range []decimal.Decimal{decimal.New(1, 20), decimal.New(1, -19), decimal.New(1, 2_000_000_000)} {
		_, err := placed(t, client, LimitOrder("BTC/USDT", Buy, price, price))
		if err == nil || len(err.Violations) != 2 || err.Code != codes.InvalidArgument {
			t.Fatalf("got %+v", err)
		}
		fields := []string{err.Violations[0].Field, err.Violations[1].Field}
		slices.Sort(fields)
		if !slices.Equal(fields, []string{"order.limit_price", "order.quantity"}) {
			t.Errorf("the fields are %v", fields)
		}
	}
	if len(fake.placed) != 0 {
		t.Errorf("%d were sent", len(fake.placed))
	}
}

func TestIDsAreUniqueAndSort(t *testing.T) {
	var made []string
	for range 10_000 {
		made = append(made, NewID())
	}
	if !slices.IsSorted(made) || len(slices.Compact(made)) != 10_000 || len(made[0]) != 26 {
		t.Errorf("%s … %s", made[0], made[9_999])
	}
}

func TestATokenIsSentAndNeverShown(t *testing.T) {
	fake := &fake{}
	fake.orders = append(fake.orders, fill)
	option := WithToken("s3cret-token")
	client := fake.serve(t, option)
	if _, err := placed(t, client, anOrder); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(fake.tokens, []string{"Bearer s3cret-token"}) {
		t.Errorf("sent %v", fake.tokens)
	}
	var set settings
	if err := option(&set); err != nil {
		t.Fatal(err)
	}
	for _, value := range []any{client, *client, set, option} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, "s3cret") {
				t.Errorf("%s shows it: %s", verb, text)
			}
		}
	}
}

func TestATokenStaysOnThisMachineWithoutTLS(t *testing.T) {
	for _, address := range []string{"10.0.0.1:50051", "gateway.example:50051", "dns:///gateway.example:50051", "dns://127.0.0.1/gateway.example:1", "localhost.example:1"} {
		if _, err := Connect(address, WithToken("s3cret")); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", address, err)
		}
		client, err := Connect(address, WithToken("s3cret"), WithPlaintextToken())
		if err != nil {
			t.Fatal(err)
		}
		_ = client.Close()
	}
	for _, address := range []string{"127.0.0.1:1", "localhost:1", "[::1]:1", "dns:///127.0.0.1:1", "unix:/run/gateway"} {
		client, err := Connect(address, WithToken("s3cret"))
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		_ = client.Close()
	}
	for _, token := range []string{"", "a b", "a\nb", "é"} {
		if _, err := Connect("127.0.0.1:1", WithToken(token)); err == nil {
			t.Errorf("%q was taken", token)
		}
	}
}

func opening(epoch uint64) *v1.StreamFillsResponse {
	return &v1.StreamFillsResponse{
		Cursor: "opened", Payload: &v1.StreamFillsResponse_Opened{Opened: &v1.StreamOpened{Epoch: epoch}},
	}
}

// batch has a fill of the account "a" for each sequence.
func batch(sequences ...uint64) *v1.StreamFillsResponse {
	events := make([]*v1.Event, len(sequences))
	for index, sequence := range sequences {
		events[index] = &v1.Event{
			EventId: fmt.Sprint("e", sequence), AccountId: "a", Sequence: sequence, Cursor: fmt.Sprint("event ", sequence),
			Payload: &v1.Event_Fill{Fill: &v1.FillEvent{Fill: &v1.Fill{AccountId: "a", Quantity: "0.10", Price: "60000"}}},
		}
	}
	return &v1.StreamFillsResponse{
		Cursor: fmt.Sprint("message ", sequences[len(sequences)-1]), Payload: &v1.StreamFillsResponse_Batch{Batch: &v1.EventBatch{Events: events}},
	}
}

type fillScript = func(*v1.StreamFillsRequest, grpc.ServerStreamingServer[v1.StreamFillsResponse]) error

// says sends the messages and ends with the error; with errStay it says nothing more and stays.
func says(end error, messages ...*v1.StreamFillsResponse) fillScript {
	return func(_ *v1.StreamFillsRequest, stream grpc.ServerStreamingServer[v1.StreamFillsResponse]) error {
		for _, message := range messages {
			if err := stream.Send(message); err != nil {
				return err
			}
		}
		if end == errStay {
			<-stream.Context().Done()
		}
		return end
	}
}

var errStay = errors.New("stays")

func taken(t *testing.T, fills *FillStream, count int) (ids, cursors []string) {
	t.Helper()
	for range count {
		fill, err := fills.Next()
		if err != nil {
			t.Fatal(err)
		}
		ids, cursors = append(ids, fill.EventID), append(cursors, fill.Cursor)
	}
	return ids, cursors
}

func TestAStreamResumesByItsCursorAndGivesEachFillOnce(t *testing.T) {
	closing := &v1.StreamFillsResponse{Cursor: "message 5", Payload: &v1.StreamFillsResponse_Closing{Closing: &v1.StreamClosing{
		Reason: v1.ErrorReason_ERROR_REASON_SHUTTING_DOWN,
	}}}
	fake := &fake{}
	fake.streams = append(fake.streams,
		says(status.Error(codes.Unavailable, "broke"), opening(1), batch(1, 2)),
		says(refusal(codes.ResourceExhausted, "SLOW_CONSUMER", 0), opening(1), batch(2, 3, 4)),
		says(nil, opening(1), batch(4, 5), closing),
		says(nil, opening(1), &v1.StreamFillsResponse{Cursor: "newer"}),
		says(errStay, opening(2), batch(1)),
	)
	fills := fake.serve(t).Fills(t.Context(), From{Accounts: []string{"a"}, After: "kept"})
	ids, cursors := taken(t, fills, 6)
	if want := []string{"e1", "e2", "e3", "e4", "e5", "e1"}; !slices.Equal(ids, want) {
		t.Errorf("came %v", ids)
	}
	if want := []string{"event 1", "message 2", "event 3", "message 4", "message 5", "message 1"}; !slices.Equal(cursors, want) {
		t.Errorf("cursors %v", cursors)
	}
	var after []string
	for _, request := range fake.opened {
		after = append(after, request.GetAfterCursor())
	}
	if want := []string{"kept", "message 2", "message 4", "message 5", "newer"}; !slices.Equal(after, want) || fills.Reconnects() != 4 {
		t.Errorf("resumed after %v, %d", after, fills.Reconnects())
	}
}

func TestTheCursorOfSeveralAccountsIsThatOfTheMessageBefore(t *testing.T) {
	fake := &fake{}
	fake.streams = append(fake.streams, says(errStay, opening(1), batch(1, 2), batch(3, 4)))
	_, cursors := taken(t, fake.serve(t).Fills(t.Context(), From{Start: Earliest}), 4)
	if want := []string{"opened", "message 2", "message 2", "message 4"}; !slices.Equal(cursors, want) {
		t.Errorf("cursors %v", cursors)
	}
}

func TestAStreamSaysThatItHasCaughtUp(t *testing.T) {
	live := &v1.StreamFillsResponse{Cursor: "live", Payload: &v1.StreamFillsResponse_CaughtUp{CaughtUp: &v1.CaughtUp{}}}
	fake := &fake{}
	fake.streams = append(fake.streams, says(errStay, opening(1), batch(1), live))
	fills := fake.serve(t).Fills(t.Context(), From{})
	taken(t, fills, 1)
	select {
	case <-fills.CaughtUp():
		t.Error("it is not live yet")
	default:
	}
	ended := make(chan error)
	go func() {
		_, err := fills.Next()
		ended <- err
	}()
	<-fills.CaughtUp()
	fills.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("closed, it gave %v", err)
	}
}

func TestWhatNoConnectionCanMendEndsAStream(t *testing.T) {
	for code, reason := range map[codes.Code]string{
		codes.OutOfRange: "CURSOR_EXPIRED", codes.Unauthenticated: "TOKEN_INVALID", codes.InvalidArgument: "CURSOR_INVALID",
		codes.ResourceExhausted: "TOO_MANY_STREAMS",
	} {
		fake := &fake{}
		fake.streams = append(fake.streams, says(refusal(code, reason, 0)))
		fills := fake.serve(t).Fills(t.Context(), From{})
		for range 2 {
			var typed *Error
			if _, err := fills.Next(); !errors.As(err, &typed) || typed.ReasonName != reason {
				t.Errorf("%s: %v", reason, err)
			}
		}
	}
}

func TestAMutePeerIsLeft(t *testing.T) {
	fake := &fake{}
	fake.streams = append(fake.streams, says(errStay, opening(1)), says(errStay, opening(1), batch(1)))
	fills := fake.serve(t).Fills(t.Context(), From{Heartbeat: 50 * time.Millisecond})
	if ids, _ := taken(t, fills, 1); ids[0] != "e1" || fills.Reconnects() < 1 {
		t.Errorf("%v after %d", ids, fills.Reconnects())
	}
}

func TestAStreamEndsWithItsClient(t *testing.T) {
	fake := &fake{}
	fake.streams = append(fake.streams, says(status.Error(codes.Unavailable, "broke")))
	client := fake.serve(t)
	fills := client.Fills(t.Context(), From{})
	time.AfterFunc(50*time.Millisecond, func() { _ = client.Close() })
	for _, err := range fills.All() {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("closed, it gave %v", err)
		}
	}
}
