package brokergate

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	v1 "brokergate/clients/go/brokergate/v1"
)

const domain = "brokergate"

// Error is what a call or stream fails with: `var refused *brokergate.Error; errors.As(err, &refused)`. It holds no
// secret.
type Error struct {
	// Code is gRPC's.
	Code codes.Code
	// Reason is the contract's: UNSPECIFIED where the error is not the gateway's own (a connection that was refused), and
	// where the gateway is newer than this client.
	Reason v1.ErrorReason
	// ReasonName is the reason as the gateway wrote it (`ORDER_NOT_FOUND`), also where this client does not know it.
	ReasonName string
	// Message is for people.
	Message string
	// Violations name the fields that are wrong.
	Violations []FieldViolation
	// Metadata holds facts for programs.
	Metadata map[string]string
	// RetryAfter is the gateway's word on when to try again; zero where it gave none.
	RetryAfter time.Duration
	// RequestID is the id under which a call that changes something may be repeated: for an order the client_order_id,
	// for a batch that of its first order.
	RequestID string
	// OutcomeUnknown says that what was asked for may have been done: an answer was lost, or the gateway does not know.
	OutcomeUnknown bool

	cause error
}

// FieldViolation is one field that is wrong: its path from the request, and what is wrong with it.
type FieldViolation struct{ Field, Description string }

// Error writes the reason, the message and, where the outcome is unknown, the id to ask under.
func (err *Error) Error() string {
	name := err.ReasonName
	if name == "" {
		name = err.Code.String()
	}
	text := name + ": " + err.Message
	if err.OutcomeUnknown {
		text += fmt.Sprintf(" (the outcome is unknown; repeat with id %q to learn it)", err.RequestID)
	}
	return text
}

// Unwrap gives context.Canceled or context.DeadlineExceeded where the call's context ended it, or ErrClosed.
func (err *Error) Unwrap() error { return err.cause }

// GRPCStatus is what status.Code and status.Convert read.
func (err *Error) GRPCStatus() *status.Status { return status.New(err.Code, err.Message) }

// ReasonOf is the reason of an Error anywhere in err, UNSPECIFIED for anything else.
func ReasonOf(err error) v1.ErrorReason {
	var found *Error
	if errors.As(err, &found) {
		return found.Reason
	}
	return v1.ErrorReason_ERROR_REASON_UNSPECIFIED
}

// FromMessage makes an Error of one item of an answer (of a batch, or of an order entry stream).
func FromMessage(message *v1.Error) *Error {
	err := &Error{
		Code:     codes.Code(message.GetCode()),
		Reason:   message.GetReason(),
		Message:  message.GetMessage(),
		Metadata: message.GetMetadata(),
	}
	if name, known := v1.ErrorReason_name[int32(err.Reason)]; known {
		err.ReasonName = name[len("ERROR_REASON_"):]
	} else {
		err.ReasonName = fmt.Sprint(int32(err.Reason))
	}
	for _, violation := range message.GetFieldViolations() {
		err.Violations = append(err.Violations, FieldViolation{violation.GetField(), violation.GetDescription()})
	}
	return err
}

// fromRPC reads the details that the gateway sent.
func fromRPC(failed error) *Error {
	var known *Error
	if errors.As(failed, &known) {
		return known
	}
	said := status.Convert(failed)
	err := &Error{Code: said.Code(), Message: said.Message()}
	for _, detail := range said.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() == domain {
				err.ReasonName = detail.GetReason()
				err.Reason = v1.ErrorReason(v1.ErrorReason_value["ERROR_REASON_"+err.ReasonName])
				err.Metadata = detail.GetMetadata()
			}
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				err.Violations = append(err.Violations, FieldViolation{violation.GetField(), violation.GetDescription()})
			}
		case *errdetails.RetryInfo:
			err.RetryAfter = detail.GetRetryDelay().AsDuration()
		}
	}
	return err
}

// answerWasLost says whether the gateway may have done what was asked although this error came.
func (err *Error) answerWasLost() bool {
	if err.Code == codes.DeadlineExceeded || err.Reason == v1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN {
		return true
	}
	switch err.Code {
	// What gRPC itself says of a connection that broke in the middle.
	case codes.Unavailable, codes.Canceled, codes.Internal, codes.Unknown:
		return err.ReasonName == ""
	}
	return false
}

// invitesRepeat says whether the same call may succeed later. A deadline has passed for good.
func (err *Error) invitesRepeat() bool {
	return err.cause == nil && err.Code != codes.DeadlineExceeded && (err.Code == codes.Unavailable || err.answerWasLost())
}

// isLate says whether this is no more than a deadline that passed.
func (err *Error) isLate() bool { return err.Code == codes.DeadlineExceeded && err.ReasonName == "" }

// addAskedAgain makes this the error of a call whose next attempt the deadline ended: it says more than a deadline does.
func (err *Error) addAskedAgain(cause error) {
	err.Message += "; asked again, and no answer came before the deadline"
	err.cause = cause
}

// leavesOpen says whether this error tells nothing of what an earlier attempt did: it came before the id was looked up.
func (err *Error) leavesOpen() bool {
	return err.Code == codes.Unauthenticated || err.Code == codes.PermissionDenied || err.Code == codes.Unavailable ||
		err.answerWasLost()
}
