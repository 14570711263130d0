package main

import (
	"fmt"
	"log"
	"maps"
	"net/http"
	"net/url"
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

// strictQuery refuses what vanguard would answer as a fault of its own (500), or would pass over: a query that cannot be read or
// names what the method's request does not have, one that gives what the path gives, one beside a body, which is the whole
// request, and a body of a GET.
func strictQuery(next http.Handler) http.Handler {
	var paths []restPath
	for _, rule := range restRules() {
		paths = append(paths, newRestPath(rule))
	}
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		for _, path := range paths {
			if path.matches(request) {
				if field, problem := path.misplaced(request); problem != "" {
					refuse(writer, field, problem)
					return
				}
				break
			}
		}
		next.ServeHTTP(writer, request)
	})
}

// restPath is a rule to look requests up by.
type restPath struct {
	method, verb string
	segments     []string
	variables    []string
	message      protoreflect.MessageDescriptor
}

func newRestPath(rule *annotations.HttpRule) restPath {
	found := restPath{method: http.MethodGet, message: requestOf(rule.GetSelector())}
	template := rule.GetGet()
	if template == "" {
		found.method, template = http.MethodPost, rule.GetPost()
	}
	template, found.verb, _ = strings.Cut(template, ":")
	found.segments = strings.Split(template, "/")
	for _, segment := range found.segments {
		if strings.HasPrefix(segment, "{") {
			name, _, _ := strings.Cut(strings.Trim(segment, "{}"), "=")
			found.variables = append(found.variables, name)
		}
	}
	return found
}

// matches as vanguard does: segment by segment of the path as it was meant.
func (path restPath) matches(request *http.Request) bool {
	asked := request.URL.Path
	if path.verb != "" {
		var found bool
		if asked, found = strings.CutSuffix(asked, ":"+path.verb); !found {
			return false
		}
	}
	segments := strings.Split(asked, "/")
	for index, segment := range path.segments {
		switch {
		case index >= len(segments):
			return false
		case strings.HasSuffix(segment, "=**}"):
			return request.Method == path.method
		case !strings.HasPrefix(segment, "{") && segment != segments[index]:
			return false
		}
	}
	return request.Method == path.method && len(segments) == len(path.segments)
}

// misplaced finds what is wrong with where a request's fields are: the first one, and why.
func (path restPath) misplaced(request *http.Request) (field, problem string) {
	query, err := url.ParseQuery(request.URL.RawQuery)
	if err != nil {
		return "", fmt.Sprintf("the query cannot be read: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		named := findField(path.message, name)
		switch {
		case path.method != http.MethodGet:
			return name, fmt.Sprintf("%q is in the query; the whole request goes into the body", name)
		case named == nil:
			return name, fmt.Sprintf("%q is in the query, and %s has no such field; there are %s",
				name, path.message.Name(), strings.Join(path.names(path.message, ""), ", "))
		case path.gives(named):
			return name, fmt.Sprintf("%q is in the query, and the path has said it", name)
		}
	}
	if path.method == http.MethodGet && request.ContentLength > 0 {
		return "", "a GET has no body; what it asks for goes into the query"
	}
	return "", ""
}

// gives says whether the path gives the field, or another one of its oneof.
func (path restPath) gives(field protoreflect.FieldDescriptor) bool {
	for _, name := range path.variables {
		given := findField(path.message, name)
		oneof := field.ContainingOneof()
		if given.FullName() == field.FullName() || oneof != nil && given.ContainingOneof() != nil &&
			oneof.FullName() == given.ContainingOneof().FullName() {
			return true
		}
	}
	return false
}

// names are the fields that a query may set, in JSON's spelling.
func (path restPath) names(message protoreflect.MessageDescriptor, prefix string) []string {
	var names []string
	for index := range message.Fields().Len() {
		field := message.Fields().Get(index)
		switch {
		case !isParameter(field):
			if !field.IsList() && !field.IsMap() {
				names = append(names, path.names(field.Message(), prefix+field.JSONName()+".")...)
			}
		case !path.gives(field):
			names = append(names, prefix+field.JSONName())
		}
	}
	return names
}

// requestOf is the message that a method of the contract takes.
func requestOf(method string) protoreflect.MessageDescriptor {
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(method))
	if err != nil {
		panic(err) // a rule for what the contract does not have
	}
	return found.(protoreflect.MethodDescriptor).Input()
}

// findField is the field at a path of names (`order.clientOrderId`), in JSON's spelling or in proto's; nil where a query cannot set
// any.
func findField(message protoreflect.MessageDescriptor, path string) protoreflect.FieldDescriptor {
	for {
		name, rest, deeper := strings.Cut(path, ".")
		field := message.Fields().ByJSONName(name)
		if field == nil {
			field = message.Fields().ByName(protoreflect.Name(name))
		}
		if field == nil || !deeper && !isParameter(field) || deeper && (field.IsList() || field.Message() == nil) {
			return nil
		}
		if !deeper {
			return field
		}
		message, path = field.Message(), rest
	}
}

// isParameter says whether one text can be the field's value: a time or a duration is one, another message is not.
func isParameter(field protoreflect.FieldDescriptor) bool {
	return field.Message() == nil || field.Message().ParentFile().Package() == "google.protobuf"
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
