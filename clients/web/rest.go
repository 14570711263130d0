package main

import (
	"fmt"
	"log"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
)

// restRules are the paths of REST, for what is asked for most; everything else is a POST of JSON to a method's path.
func restRules() []*annotations.HttpRule {
	get := func(method, path string) *annotations.HttpRule {
		return &annotations.HttpRule{Selector: "brokergate.v1." + method, Pattern: &annotations.HttpRule_Get{Get: path}}
	}
	post := func(method, path string) *annotations.HttpRule {
		return &annotations.HttpRule{
			Selector: "brokergate.v1." + method, Pattern: &annotations.HttpRule_Post{Post: path}, Body: "*"}
	}
	return []*annotations.HttpRule{
		get("AccountService.ListAccounts", "/v1/accounts"),
		get("AccountService.GetAccount", "/v1/accounts/{account_id}"),
		get("AccountService.ListBalances", "/v1/accounts/{account_id}/balances"),
		get("PositionService.ListPositions", "/v1/accounts/{account_id}/positions"),
		get("InstrumentService.ListInstruments", "/v1/accounts/{account_id}/instruments"),
		get("MarketDataService.GetQuote", "/v1/accounts/{account_id}/quotes/{symbol=**}"),
		get("OrderService.ListFills", "/v1/accounts/{account_id}/fills"),
		get("OrderService.ListOrders", "/v1/accounts/{account_id}/orders"),
		get("OrderService.GetOrder", "/v1/accounts/{account_id}/orders/{order.client_order_id}"),
		post("OrderService.PlaceOrder", "/v1/accounts/{account_id}/orders"),
		post("OrderService.CancelOrder", "/v1/accounts/{account_id}/orders/{order.client_order_id}:cancel"),
	}
}

// strictQuery refuses what vanguard would answer as a fault of its own (500): a name in the query that the method's request does
// not have, a query beside a body that is the whole request, and a body of a GET.
func strictQuery(next http.Handler) http.Handler {
	requests := map[string]protoreflect.MessageDescriptor{}
	paths := http.NewServeMux()
	for _, rule := range restRules() {
		pattern := muxPattern(rule)
		requests[pattern] = requestOf(rule.GetSelector())
		paths.Handle(pattern, next)
	}
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		_, pattern := paths.Handler(request)
		if message := requests[pattern]; message != nil {
			if field, problem := misplaced(request, message); problem != "" {
				refuse(writer, field, problem)
				return
			}
		}
		next.ServeHTTP(writer, request)
	})
}

var (
	variable = regexp.MustCompile(`\{([^}=]+)(=\*\*)?\}`)
	verb     = regexp.MustCompile(`:[a-z]+$`)
)

// muxPattern is the rule's path as the standard library writes it, without the verb at its end: no two rules differ by theirs
// alone.
func muxPattern(rule *annotations.HttpRule) string {
	method, path := http.MethodGet, rule.GetGet()
	if path == "" {
		method, path = http.MethodPost, verb.ReplaceAllString(rule.GetPost(), "")
	}
	return method + " " + variable.ReplaceAllStringFunc(path, func(found string) string {
		name := strings.ReplaceAll(variable.FindStringSubmatch(found)[1], ".", "_")
		if strings.HasSuffix(found, "=**}") {
			name += "..."
		}
		return "{" + name + "}"
	})
}

// requestOf is the message that a method of the contract takes.
func requestOf(method string) protoreflect.MessageDescriptor {
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(method))
	if err != nil {
		panic(err) // a rule for what the contract does not have
	}
	return found.(protoreflect.MethodDescriptor).Input()
}

// misplaced finds what is wrong with where a request's fields are: the first one, and why.
func misplaced(request *http.Request, message protoreflect.MessageDescriptor) (field, problem string) {
	query := request.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if request.Method != http.MethodGet {
			return name, fmt.Sprintf("%q is in the query; the whole request goes into the body", name)
		}
		if !hasField(message, name) {
			return name, fmt.Sprintf("%q is in the query, and %s has no such field; it has %s",
				name, message.Name(), strings.Join(fieldNames(message), ", "))
		}
	}
	if request.Method == http.MethodGet && request.ContentLength != 0 {
		return "", "a GET has no body; what it asks for goes into the query"
	}
	return "", ""
}

// hasField says whether a query can set the field at a path of names (`order.clientOrderId`), in JSON's spelling or in proto's.
func hasField(message protoreflect.MessageDescriptor, path string) bool {
	for {
		name, rest, deeper := strings.Cut(path, ".")
		field := message.Fields().ByJSONName(name)
		if field == nil {
			field = message.Fields().ByName(protoreflect.Name(name))
		}
		switch {
		case field == nil:
			return false
		case !deeper:
			return isParameter(field)
		case field.IsList() || field.Message() == nil:
			return false
		}
		message, path = field.Message(), rest
	}
}

// isParameter says whether one text can be the field's value: a time or a duration is one, another message is not.
func isParameter(field protoreflect.FieldDescriptor) bool {
	return field.Message() == nil || field.Message().ParentFile().Package() == "google.protobuf"
}

// fieldNames are those that a query may set, in JSON's spelling.
func fieldNames(message protoreflect.MessageDescriptor) []string {
	var names []string
	for index := range message.Fields().Len() {
		if field := message.Fields().Get(index); isParameter(field) {
			names = append(names, field.JSONName())
		}
	}
	return names
}

// refuse answers as REST does where a request cannot be read, with the contract's reason and the field.
func refuse(writer http.ResponseWriter, field, problem string) {
	answer := &status.Status{Code: int32(codes.InvalidArgument), Message: problem}
	violation := &errdetails.BadRequest_FieldViolation{Field: field, Description: problem}
	reason, err := anypb.New(malformedInfo())
	if err == nil {
		answer.Details = append(answer.Details, reason)
	}
	if named, err := anypb.New(&errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{violation}}); err == nil && field != "" {
		answer.Details = append(answer.Details, named)
	}
	body, err := protojson.Marshal(answer)
	if err != nil {
		log.Print(err)
	}
	writer.Header().Set("Content-Type", "application/json")
	writer.WriteHeader(http.StatusBadRequest)
	_, _ = writer.Write(body)
}
