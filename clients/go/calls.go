package brokergate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	v1 "brokergate/clients/go/brokergate/v1"
)

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second
)

// pauses grow: each is drawn from nothing to a span that doubles, so that the clients of a gateway that comes back do
// not knock all at once.
type pauses struct{ span time.Duration }

// next is never shorter than the gateway asked for.
func (pauses *pauses) next(atLeast time.Duration) time.Duration {
	pauses.span = min(max(2*pauses.span, firstPause), longestPause)
	return max(rand.N(pauses.span), atLeast)
}

// sleep returns false where the context ends first.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// unary makes a call and its repeats. Every call of the contract may be repeated: a read changes nothing, and a mutation
// carries an id under which the gateway does it once.
func (client *Client) unary(
	ctx context.Context, method string, request, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	message, ok := request.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no protobuf message", request)
	}
	if err := checkDecimals(message); err != nil {
		return err
	}
	message, id := identified(message)
	if _, given := ctx.Deadline(); !given {
		bounded, cancel := context.WithTimeout(ctx, client.deadline)
		defer cancel()
		ctx = bounded
	}
	deadline, _ := ctx.Deadline()
	var waits pauses
	lost := false
	for {
		failed := invoke(ctx, method, message, answer, conn, options...)
		if failed == nil {
			return nil
		}
		err := fromRPC(ctx, failed)
		lost = lost || err.answerWasLost()
		err.RequestID = id
		// Any other error is the gateway's final word on the id, after it has looked the id up.
		err.OutcomeUnknown = lost && id != "" && err.leavesOpen()
		if !err.invitesRepeat() {
			return err
		}
		pause := waits.next(err.RetryAfter)
		if !time.Now().Add(pause).Before(deadline) {
			return err
		}
		if !sleep(ctx, pause) {
			err.cause = ctx.Err()
			return err
		}
	}
}

// identified gives the request with an id wherever one is needed and none was given, and the id that names it: empty
// for a read. The caller's message stays as it is.
func identified(message proto.Message) (proto.Message, string) {
	switch request := message.(type) {
	case *v1.PlaceOrderRequest:
		request = proto.Clone(request).(*v1.PlaceOrderRequest)
		setDefault(&request.ClientOrderId, NewID)
		nameLegs(request.GetOrder(), request.GetClientOrderId())
		for index, linked := range request.GetOcoOrders() {
			setDefault(&linked.ClientOrderId, func() string { return fmt.Sprintf("%s-%d", request.GetClientOrderId(), index+2) })
		}
		return request, request.GetClientOrderId()
	case *v1.BatchPlaceOrdersRequest:
		request = proto.Clone(request).(*v1.BatchPlaceOrdersRequest)
		for _, order := range request.GetOrders() {
			setDefault(&order.ClientOrderId, NewID)
			nameLegs(order.GetOrder(), order.GetClientOrderId())
		}
		if len(request.GetOrders()) == 0 {
			return request, ""
		}
		return request, request.GetOrders()[0].GetClientOrderId()
	}
	reflected := message.ProtoReflect()
	field := reflected.Descriptor().Fields().ByName("request_id")
	if field == nil {
		return message, ""
	}
	if id := reflected.Get(field).String(); id != "" {
		return message, id
	}
	id := NewID()
	message = proto.Clone(message)
	reflected = message.ProtoReflect()
	reflected.Set(field, protoString(id))
	return message, id
}

func setDefault(id *string, make func() string) {
	if *id == "" {
		*id = make()
	}
}

// nameLegs names a bracket's legs after their entry, so that a repeat names them alike.
func nameLegs(order *v1.OrderSpec, id string) {
	if leg := order.GetTakeProfit(); leg != nil {
		setDefault(&leg.ClientOrderId, func() string { return id + "-tp" })
	}
	if leg := order.GetStopLoss(); leg != nil {
		setDefault(&leg.ClientOrderId, func() string { return id + "-sl" })
	}
}

// stream gives the errors of a stream their type, and checks what is sent on it. It repeats nothing: Fills and Events do.
func stream(
	ctx context.Context, description *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	opened, err := open(ctx, description, conn, method, options...)
	if err != nil {
		return nil, fromRPC(ctx, err)
	}
	return typedStream{opened}, nil
}

type typedStream struct{ grpc.ClientStream }

func (stream typedStream) SendMsg(message any) error {
	if checked, ok := message.(proto.Message); ok {
		if err := checkDecimals(checked); err != nil {
			return err
		}
	}
	return stream.typed(stream.ClientStream.SendMsg(message))
}

func (stream typedStream) RecvMsg(message any) error {
	return stream.typed(stream.ClientStream.RecvMsg(message))
}

func (stream typedStream) typed(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return fromRPC(stream.Context(), err)
}

// refused is an error of this client's own, in the form that the gateway would have given it.
func refused(violations []FieldViolation) *Error {
	return &Error{
		Code:       codes.InvalidArgument,
		Reason:     v1.ErrorReason_ERROR_REASON_INVALID_FIELD,
		ReasonName: "INVALID_FIELD",
		Message:    violations[0].Field + ": " + violations[0].Description,
		Violations: violations,
	}
}
