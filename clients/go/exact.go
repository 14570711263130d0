package brokergate

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/shopspring/decimal"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "brokergate/clients/go/brokergate/v1"
)

var (
	decimalForm = regexp.MustCompile(`\A-?[0-9]{1,20}(\.[0-9]{1,18})?\z`)
	// The contract's strings that are decimals, by the ends of their names.
	decimalName = regexp.MustCompile(`(quantity|price|amount|percent|increment|volume|leverage|_ms|_seconds|shares_outstanding)$`)
)

// Decimal reads a price, quantity or amount of the contract: `-?[0-9]{1,20}(\.[0-9]{1,18})?`. Its error is an Error that
// names the field.
func Decimal(field, text string) (decimal.Decimal, error) {
	if !decimalForm.MatchString(text) {
		return decimal.Decimal{}, refused(field, badDecimal(text))
	}
	return decimal.NewFromString(text)
}

func badDecimal(text string) string {
	return fmt.Sprintf("%.64q is no decimal of the contract: up to 20 digits, a point, up to 18 digits", text)
}

// MustDecimal is Decimal for numbers that stand in the program; it panics where Decimal gives an error.
func MustDecimal(text string) decimal.Decimal {
	number, err := Decimal("text", text)
	if err != nil {
		panic(err)
	}
	return number
}

// Text writes a number as the contract does, in plain digits. One that the contract does not allow is refused when it
// is to be sent.
func Text(number decimal.Decimal) string {
	// Plain digits of a number with a vast exponent would fill the memory.
	if exponent := number.Exponent(); exponent > 100 || exponent < -10_000 {
		return fmt.Sprintf("%vE%d", number.Coefficient(), exponent)
	}
	return number.String()
}

func optionalText(number *decimal.Decimal) *string {
	if number == nil {
		return nil
	}
	text := Text(*number)
	return &text
}

// reading collects the first decimal of an answer that cannot be read.
type reading struct{ err error }

func (reading *reading) decimal(field, text string) decimal.Decimal {
	if text == "" {
		return decimal.Decimal{}
	}
	number, err := Decimal(field, text)
	if err != nil && reading.err == nil {
		reading.err = &Error{Code: codes.Internal, Message: "the gateway's answer has a bad " + field + ": " + badDecimal(text)}
	}
	return number
}

func (reading *reading) optional(field string, text *string) decimal.NullDecimal {
	if text == nil {
		return decimal.NullDecimal{}
	}
	return decimal.NullDecimal{Decimal: reading.decimal(field, *text), Valid: true}
}

func (reading *reading) money(messages []*v1.Money) []Money {
	amounts := make([]Money, len(messages))
	for index, message := range messages {
		amounts[index] = Money{reading.decimal("amount", message.GetAmount()), message.GetCurrencyCode()}
	}
	return amounts
}

// Money is an exact amount of one currency.
type Money struct {
	Amount       decimal.Decimal
	CurrencyCode string
}

// String writes `1.5 USDT`.
func (money Money) String() string { return money.Amount.String() + " " + money.CurrencyCode }

// checkDecimals refuses a message that holds a malformed decimal, by the path of each such field.
func checkDecimals(message proto.Message) *Error {
	var violations []FieldViolation
	walk(message.ProtoReflect(), "", &violations)
	if violations == nil {
		return nil
	}
	return allRefused(violations)
}

func walk(message protoreflect.Message, path string, violations *[]FieldViolation) {
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		name := path + string(field.Name())
		switch {
		case field.IsMap():
		case field.Kind() == protoreflect.StringKind && !field.IsList() && decimalName.MatchString(string(field.Name())):
			if !decimalForm.MatchString(value.String()) {
				*violations = append(*violations, FieldViolation{name, badDecimal(value.String())})
			}
		case field.Kind() != protoreflect.MessageKind:
		case field.IsList():
			for index := range value.List().Len() {
				walk(value.List().Get(index).Message(), fmt.Sprintf("%s[%d].", name, index), violations)
			}
		default:
			walk(value.Message(), name+".", violations)
		}
		return true
	})
}

var ids struct {
	sync.Mutex
	milliseconds uint64
	random       [10]byte
}

// NewID is a client_order_id or request_id that nobody else makes: 26 characters of [0-9A-HJKMNP-TV-Z] (a ULID) that
// sort by the time they were made at, within a process strictly.
func NewID() string {
	ids.Lock()
	defer ids.Unlock()
	if now := uint64(time.Now().UnixMilli()); now > ids.milliseconds {
		ids.milliseconds = now
		_, _ = rand.Read(ids.random[:]) // never fails
		ids.random[0] &= 0x7f           // room to count up
	} else {
		for index := len(ids.random) - 1; index >= 0; index-- {
			ids.random[index]++
			if ids.random[index] != 0 {
				break
			}
		}
	}
	const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	high := ids.milliseconds<<16 | uint64(binary.BigEndian.Uint16(ids.random[:2]))
	low := binary.BigEndian.Uint64(ids.random[2:])
	var text [26]byte
	for index := len(text) - 1; index >= 0; index-- {
		text[index] = digits[low&31]
		low = low>>5 | high<<59
		high >>= 5
	}
	return string(text[:])
}
