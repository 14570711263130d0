package brokergate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/shopspring/decimal"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "brokergate/clients/go/brokergate/v1"
)

const (
	// DefaultHeartbeat is how often a quiet stream says that it is there.
	DefaultHeartbeat = 10 * time.Second
	// So many heartbeats in a row that did not come mean that the peer is gone, whatever TCP says.
	missedHeartbeats = 3
	// StreamOpened is sent at once; a gateway that takes longer is asked again.
	openTimeout = 10 * time.Second
)

// The places where a stream may start without a cursor.
const (
	Earliest     = v1.StartPosition_START_POSITION_EARLIEST
	Live         = v1.StartPosition_START_POSITION_LIVE
	FromSnapshot = v1.StartPosition_START_POSITION_SNAPSHOT
)

// From says what a stream gives and where it starts: after the cursor After, else at StartTime, else at Start, else
// live. No accounts means every one that the caller may see, as of now.
type From struct {
	Accounts  []string
	After     string
	StartTime time.Time
	// Start may be FromSnapshot for Events alone.
	Start v1.StartPosition
	// Symbols filter Fills, Kinds filter Events; none means all.
	Symbols []string
	Kinds   []v1.EventKind
	// Heartbeat is 1 s to 60 s; DefaultHeartbeat where it is zero.
	Heartbeat time.Duration
}

// Fill is one execution: the contract's message, whose decimals stand here as numbers.
type Fill struct {
	*v1.Fill
	Quantity, Price decimal.Decimal
	Fees            []Money
	EventID         string
	Sequence        uint64
	// Cursor resumes after this fill: keep it. Of a stream of several accounts it may bring up to a batch again, which
	// EventID tells.
	Cursor string
}

// EventItem is one thing that Events gives: exactly one of the first three is set.
type EventItem struct {
	Event    *v1.Event
	Snapshot *v1.Snapshot
	// CaughtUp says that all that was journalled before the connection has been given; what follows is live.
	CaughtUp bool
	// Cursor resumes after this item: keep it.
	Cursor string
}

type message interface {
	GetCursor() string
	GetOpened() *v1.StreamOpened
	GetBatch() *v1.EventBatch
	GetCaughtUp() *v1.CaughtUp
	GetClosing() *v1.StreamClosing
}

// resuming is what the two streams share. It holds one message at a time; what has not been read waits in the gateway's
// journal.
type resuming struct {
	client    *Client
	ctx       context.Context
	close     context.CancelFunc
	from      From
	open      func(ctx context.Context, cursor string) (func() (message, error), error)
	heartbeat time.Duration

	receive func() (message, error)
	hangUp  context.CancelFunc
	waits   pauses
	opened  bool
	epoch   uint64
	seen    map[string]uint64
	batch   []*v1.Event
	after   string // the cursor of the message that batch is of
	failed  *Error
	// Until the snapshot is whole no cursor is worth anything: resuming after one would leave the state out.
	awaitsSnapshot bool

	mutex      sync.Mutex
	cursor     string
	caughtUp   chan struct{}
	live       bool
	reconnects int
}

func newResuming(ctx context.Context, client *Client, from From) *resuming {
	ctx, cancel := context.WithCancel(ctx)
	heartbeat := from.Heartbeat
	if heartbeat == 0 {
		heartbeat = DefaultHeartbeat
	}
	return &resuming{
		client: client, ctx: ctx, close: cancel, from: from, heartbeat: heartbeat, cursor: from.After,
		seen: map[string]uint64{}, caughtUp: make(chan struct{}),
		awaitsSnapshot: from.After == "" && from.StartTime.IsZero() && from.Start == FromSnapshot,
	}
}

// Close ends the stream; Next then gives an error.
func (stream *resuming) Close() { stream.close() }

// Cursor resumes after all that was given so far; it moves on too while nothing passes the filter.
func (stream *resuming) Cursor() string {
	stream.mutex.Lock()
	defer stream.mutex.Unlock()
	return stream.cursor
}

// CaughtUp is closed once the history has been given and the stream is live. A lost connection begins another one.
// Somebody must be in Next for it to happen.
func (stream *resuming) CaughtUp() <-chan struct{} {
	stream.mutex.Lock()
	defer stream.mutex.Unlock()
	return stream.caughtUp
}

// Reconnects counts the connections after the first.
func (stream *resuming) Reconnects() int {
	stream.mutex.Lock()
	defer stream.mutex.Unlock()
	return stream.reconnects
}

func (stream *resuming) passed(cursor string) {
	if cursor != "" && !stream.awaitsSnapshot {
		stream.mutex.Lock()
		stream.cursor = cursor
		stream.mutex.Unlock()
	}
}

func (stream *resuming) setLive(live bool) {
	stream.mutex.Lock()
	defer stream.mutex.Unlock()
	if live && !stream.live {
		close(stream.caughtUp)
	} else if !live && stream.live {
		stream.caughtUp = make(chan struct{})
	}
	stream.live = live
}

// next is the next message, over one connection after another.
func (stream *resuming) next() (message, error) {
	for stream.failed == nil {
		received, err := stream.attempt()
		if err == nil {
			return received, nil
		}
		stream.hang()
		if stream.client.ended(stream.ctx) == nil && stream.mayResume(err) {
			_ = stream.client.sleep(stream.ctx, stream.waits.next(err.RetryAfter))
			stream.mutex.Lock()
			stream.reconnects++
			stream.mutex.Unlock()
		} else {
			stream.failed = err
		}
		if cause := stream.client.ended(stream.ctx); cause != nil {
			stream.failed = &Error{Code: codes.Canceled, Message: "the stream was closed", cause: cause}
			if errors.Is(cause, context.DeadlineExceeded) {
				stream.failed.Code = codes.DeadlineExceeded
			}
		}
	}
	stream.close()
	return nil, stream.failed
}

func (stream *resuming) hang() {
	stream.setLive(false)
	if stream.hangUp != nil {
		stream.hangUp()
	}
	stream.receive, stream.hangUp = nil, nil
}

func (stream *resuming) attempt() (message, *Error) {
	silence := missedHeartbeats * stream.heartbeat
	if stream.receive == nil {
		silence = openTimeout
		ctx, cancel := context.WithCancel(stream.ctx)
		stream.hangUp = cancel
		receive, err := stream.open(ctx, stream.Cursor())
		if err != nil {
			return nil, fromRPC(err)
		}
		stream.receive = receive
	}
	mute := time.AfterFunc(silence, stream.hangUp)
	received, err := stream.receive()
	if !mute.Stop() && err != nil && stream.ctx.Err() == nil {
		return nil, unavailable(fmt.Sprintf("nothing came from the gateway for %v, not even a heartbeat", silence))
	}
	if errors.Is(err, io.EOF) {
		return nil, unavailable("the gateway ended the stream")
	}
	if err != nil {
		return nil, fromRPC(err)
	}
	if opened := received.GetOpened(); opened != nil {
		if !stream.opened || opened.GetEpoch() != stream.epoch {
			// Sequences of another epoch say nothing about these.
			clear(stream.seen)
		}
		stream.opened, stream.epoch = true, opened.GetEpoch()
	} else {
		stream.waits = pauses{}
	}
	if closing := received.GetClosing(); closing != nil {
		stream.passed(received.GetCursor())
		return nil, closingError(closing)
	}
	if received.GetCaughtUp() != nil {
		stream.setLive(true)
	}
	return received, nil
}

func unavailable(text string) *Error { return &Error{Code: codes.Unavailable, Message: text} }

func closingError(closing *v1.StreamClosing) *Error {
	err := FromMessage(&v1.Error{Reason: closing.GetReason(), Message: closing.GetMessage()})
	switch closing.GetReason() {
	case v1.ErrorReason_ERROR_REASON_TOKEN_REVOKED:
		err.Code = codes.Unauthenticated
	case v1.ErrorReason_ERROR_REASON_SLOW_CONSUMER:
		err.Code = codes.ResourceExhausted
	default:
		err.Code = codes.Unavailable
	}
	return err
}

// mayResume says whether a new connection can help. Before the first one stood, a crowded gateway is the caller's to
// know.
func (stream *resuming) mayResume(err *Error) bool {
	switch err.Reason {
	case v1.ErrorReason_ERROR_REASON_TOO_MANY_STREAMS:
		return stream.opened
	case v1.ErrorReason_ERROR_REASON_SLOW_CONSUMER:
		return true
	}
	return err.invitesRepeat()
}

// event is the next event that was not given before, of the batch that is under way; nil where that has ended.
//
// A cursor of an event speaks of its account alone. Where the stream may hold several, the safe one between two events
// of a batch is that of the message before: resuming there repeats up to a batch and loses nothing.
func (stream *resuming) event() *v1.Event {
	for len(stream.batch) > 0 {
		event := stream.batch[0]
		stream.batch = stream.batch[1:]
		if last := len(stream.batch) == 0; last {
			stream.passed(stream.after)
		}
		if event.GetSequence() <= stream.seen[event.GetAccountId()] {
			continue
		}
		stream.seen[event.GetAccountId()] = event.GetSequence()
		if len(stream.batch) > 0 && len(stream.from.Accounts) == 1 {
			stream.passed(event.GetCursor())
		}
		return event
	}
	return nil
}

func (stream *resuming) take(batch *v1.EventBatch, cursor string) {
	stream.batch, stream.after = batch.GetEvents(), cursor
}

// FillStream gives executions for ever; one goroutine at a time may be in Next.
type FillStream struct{ *resuming }

// Fills streams executions as they are booked, each once. A broker may correct one or take it back: its Kind says so.
// A connection that breaks, falls silent or is closed by a gateway that restarts is made anew, after the last cursor.
// It connects with the first Next; Close ends it, and so does its context.
func (client *Client) Fills(ctx context.Context, from From) *FillStream {
	stream := newResuming(ctx, client, from)
	stream.open = func(ctx context.Context, cursor string) (func() (message, error), error) {
		request := &v1.StreamFillsRequest{
			AccountIds: from.Accounts, Symbols: from.Symbols, HeartbeatInterval: durationpb.New(stream.heartbeat),
		}
		switch {
		case cursor != "":
			request.Start = &v1.StreamFillsRequest_AfterCursor{AfterCursor: cursor}
		case !from.StartTime.IsZero():
			request.Start = &v1.StreamFillsRequest_StartTime{StartTime: timestamppb.New(from.StartTime)}
		default:
			request.Start = &v1.StreamFillsRequest_StartPosition{StartPosition: from.Start}
		}
		call, err := client.EventStreams.StreamFills(ctx, request)
		return func() (message, error) { return call.Recv() }, err
	}
	return &FillStream{stream}
}

// Next waits for the next fill. Its error is what no new connection can mend (CURSOR_EXPIRED, CURSOR_EPOCH, a token or
// field that is refused), or the end of the context.
func (stream *FillStream) Next() (*Fill, error) {
	for {
		for event := stream.event(); event != nil; event = stream.event() {
			// Fees that come later belong to Events; here they only move the cursor.
			if message := event.GetFill().GetFill(); message != nil {
				return stream.fill(event, message)
			}
		}
		received, err := stream.next()
		if err != nil {
			return nil, err
		}
		if batch := received.GetBatch(); batch != nil {
			stream.take(batch, received.GetCursor())
		} else {
			stream.passed(received.GetCursor())
		}
	}
}

func (stream *FillStream) fill(event *v1.Event, message *v1.Fill) (*Fill, error) {
	var from reading
	fill := &Fill{
		Fill:     message,
		Quantity: from.decimal("quantity", message.GetQuantity()),
		Price:    from.decimal("price", message.GetPrice()),
		Fees:     from.money(message.GetFees()),
		EventID:  event.GetEventId(),
		Sequence: event.GetSequence(),
		Cursor:   stream.Cursor(),
	}
	return fill, from.err
}

// All is Next for `for fill, err := range fills.All()`; it ends after the first error.
func (stream *FillStream) All() iter.Seq2[*Fill, error] { return all(stream.Next) }

// EventStream gives the journal's entries for ever; one goroutine at a time may be in Next.
type EventStream struct {
	*resuming
	pages *v1.Snapshot
}

// Events streams all that is journalled, as Fills does; CaughtUp parts what was before from what is live. With
// FromSnapshot the first item is the accounts' state.
func (client *Client) Events(ctx context.Context, from From) *EventStream {
	stream := newResuming(ctx, client, from)
	stream.open = func(ctx context.Context, cursor string) (func() (message, error), error) {
		request := &v1.StreamEventsRequest{
			AccountIds: from.Accounts, Kinds: from.Kinds, HeartbeatInterval: durationpb.New(stream.heartbeat),
		}
		switch {
		case cursor != "":
			request.Start = &v1.StreamEventsRequest_AfterCursor{AfterCursor: cursor}
		case !from.StartTime.IsZero():
			request.Start = &v1.StreamEventsRequest_StartTime{StartTime: timestamppb.New(from.StartTime)}
		default:
			request.Start = &v1.StreamEventsRequest_StartPosition{StartPosition: from.Start}
		}
		call, err := client.EventStreams.StreamEvents(ctx, request)
		return func() (message, error) { return call.Recv() }, err
	}
	return &EventStream{resuming: stream, pages: &v1.Snapshot{}}
}

// Next waits for the next item. Its error is as that of FillStream.Next.
func (stream *EventStream) Next() (*EventItem, error) {
	for {
		if event := stream.event(); event != nil {
			return &EventItem{Event: event, Cursor: stream.Cursor()}, nil
		}
		received, err := stream.next()
		if err != nil {
			return nil, err
		}
		if batch := received.GetBatch(); batch != nil {
			stream.take(batch, received.GetCursor())
			continue
		}
		if received.GetOpened() != nil {
			// A snapshot that was cut short begins anew.
			stream.pages = &v1.Snapshot{}
		}
		page := received.(*v1.StreamEventsResponse).GetSnapshot()
		if page != nil {
			stream.pages.Orders = append(stream.pages.Orders, page.GetOrders()...)
			stream.pages.Positions = append(stream.pages.Positions, page.GetPositions()...)
			stream.pages.Balances = append(stream.pages.Balances, page.GetBalances()...)
			stream.awaitsSnapshot = stream.awaitsSnapshot && !page.GetLast()
		}
		stream.passed(received.GetCursor())
		if page.GetLast() {
			whole := stream.pages
			whole.Last, stream.pages = true, &v1.Snapshot{}
			return &EventItem{Snapshot: whole, Cursor: stream.Cursor()}, nil
		}
		if received.GetCaughtUp() != nil {
			return &EventItem{CaughtUp: true, Cursor: stream.Cursor()}, nil
		}
	}
}

// All is Next for `for item, err := range events.All()`; it ends after the first error.
func (stream *EventStream) All() iter.Seq2[*EventItem, error] { return all(stream.Next) }

func all[Item any](next func() (*Item, error)) iter.Seq2[*Item, error] {
	return func(yield func(*Item, error) bool) {
		for {
			item, err := next()
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}
