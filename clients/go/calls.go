package brokergate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

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

// sleep returns early, with the reason, where the context ends or the client is closed.
func (client *Client) sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-client.open.Done():
	}
	return client.ended(ctx)
}

// ended is why nothing more can come of a call: its context has ended, or the client was closed.
func (client *Client) ended(ctx context.Context) error {
	if client.open.Err() != nil {
		return ErrClosed
	}
	return ctx.Err()
}

// AsGiven is a call option of the stubs: the request goes out as it is, no id made and no decimal checked, so that the
// gateway is the one to judge it.
type AsGiven struct{ grpc.EmptyCallOption }

func asGiven(options []grpc.CallOption) bool {
	return slices.ContainsFunc(options, func(option grpc.CallOption) bool { return option == grpc.CallOption(AsGiven{}) })
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
	given := asGiven(options)
	if !given {
		message = identified(message)
	}
	id := idOf(message)
	if err := checkDecimals(message); err != nil && !given {
		err.RequestID = id
		return err
	}
	if _, given := ctx.Deadline(); !given {
		bounded, cancel := context.WithTimeout(ctx, client.deadline)
		defer cancel()
		ctx = bounded
	}
	deadline, _ := ctx.Deadline()
	var waits pauses
	lost := false
	var before *Error
	for {
		failed := invoke(ctx, method, message, answer, conn, options...)
		if failed == nil {
			return nil
		}
		err := fromRPC(failed)
		err.cause = client.ended(ctx)
		lost = lost || err.answerWasLost()
		if before != nil && err.isLate() {
			before.addAskedAgain(err.cause)
			before.OutcomeUnknown = lost && id != ""
			return before
		}
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
		if err.cause = client.sleep(ctx, pause); err.cause != nil {
			return err
		}
		before = err
	}
}

// idOf is the id under which a request may be repeated; empty for a read.
func idOf(message proto.Message) string {
	switch request := message.(type) {
	case *v1.PlaceOrderRequest:
		return request.GetClientOrderId()
	case *v1.BatchPlaceOrdersRequest:
		if len(request.GetOrders()) > 0 {
			return request.GetOrders()[0].GetClientOrderId()
		}
		return ""
	}
	if field := requestID(message); field != nil {
		return message.ProtoReflect().Get(field).String()
	}
	return ""
}

func requestID(message proto.Message) protoreflect.FieldDescriptor {
	return message.ProtoReflect().Descriptor().Fields().ByName("request_id")
}

// identified gives the request with an id wherever one is needed and none was given. The caller's message stays as it
// is.
func identified(message proto.Message) proto.Message {
	switch request := message.(type) {
	case *v1.PlaceOrderRequest:
		request = proto.CloneOf(request)
		setDefault(&request.ClientOrderId, NewID)
		nameLegs(request.GetOrder(), request.GetClientOrderId())
		for index, linked := range request.GetOcoOrders() {
			setDefault(&linked.ClientOrderId, func() string { return fmt.Sprintf("%s-%d", request.GetClientOrderId(), index+2) })
		}
		return request
	case *v1.BatchPlaceOrdersRequest:
		request = proto.CloneOf(request)
		for _, order := range request.GetOrders() {
			setDefault(&order.ClientOrderId, NewID)
			nameLegs(order.GetOrder(), order.GetClientOrderId())
		}
		return request
	}
	field := requestID(message)
	if field == nil || message.ProtoReflect().Has(field) {
		return message
	}
	message = proto.Clone(message)
	message.ProtoReflect().Set(field, protoreflect.ValueOfString(NewID()))
	return message
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
		return nil, fromRPC(err)
	}
	return typedStream{opened, asGiven(options)}, nil
}

type typedStream struct {
	grpc.ClientStream
	asGiven bool
}

func (stream typedStream) SendMsg(message any) error {
	if checked, ok := message.(proto.Message); ok {
		if err := checkDecimals(checked); err != nil && !stream.asGiven {
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
	return fromRPC(err)
}

// refused is an error of this client's own about one field, in the form that the gateway would have given it.
func refused(field, description string) *Error {
	return allRefused([]FieldViolation{{field, description}})
}

func allRefused(violations []FieldViolation) *Error {
	return &Error{
		Code:       codes.InvalidArgument,
		Reason:     v1.ErrorReason_ERROR_REASON_INVALID_FIELD,
		ReasonName: "INVALID_FIELD",
		Message:    violations[0].Field + ": " + violations[0].Description,
		Violations: violations,
	}
}
