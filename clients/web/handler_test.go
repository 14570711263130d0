package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func handlerOf(t *testing.T, changed settings) http.Handler {
	t.Helper()
	changed.address, changed.gateway = "127.0.0.1:50080", "127.0.0.1:1"
	handler, err := newHandler(changed)
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

func ask(handler http.Handler, method, url string, headers map[string]string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, url, strings.NewReader("{}"))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Connect-Protocol-Version", "1")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	recorder := &fullDuplex{httptest.NewRecorder()}
	handler.ServeHTTP(recorder, request)
	return recorder.ResponseRecorder
}

// fullDuplex is a recorder that can what a connection can.
type fullDuplex struct{ *httptest.ResponseRecorder }

func (*fullDuplex) EnableFullDuplex() error { return nil }

const method = "/brokergate.v1.AccountService/ListAccounts"

func TestOtherPeoplesPagesAreRefused(t *testing.T) {
	handler := handlerOf(t, settings{hosts: []string{"trade.example.com"}})
	for _, one := range []struct {
		name, verb, url string
		headers         map[string]string
		status          int
	}{
		{"a page of another origin", "POST", "http://127.0.0.1:50080" + method, map[string]string{"Origin": "http://evil.example"}, 403},
		{"the same, as browsers tell", "POST", "http://127.0.0.1:50080" + method, map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"a read from another site", "GET", "http://127.0.0.1:50080/v1/accounts", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403},
		{"a name that leads here", "POST", "http://evil.example:50080" + method, nil, 421},
		{"another port", "POST", "http://127.0.0.1:1" + method, nil, 421},
		{"a link to the page", "GET", "http://127.0.0.1:50080/", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200},
		{"its own page", "POST", "http://localhost:50080" + method, map[string]string{"Sec-Fetch-Site": "same-origin"}, 503},
		{"a proxy in front", "POST", "http://trade.example.com" + method, nil, 503},
	} {
		if got := ask(handler, one.verb, one.url, one.headers).Code; got != one.status {
			t.Errorf("%s: %d, not %d", one.name, got, one.status)
		}
	}
}

func TestAGatewayThatIsDownIsUnavailable(t *testing.T) {
	answer := ask(handlerOf(t, settings{}), "POST", "http://127.0.0.1:50080"+method, nil)
	const expected = `{"code":"unavailable","message":"the gateway cannot be reached"}`
	if answer.Code != http.StatusServiceUnavailable || strings.TrimSpace(answer.Body.String()) != expected {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

func TestTokensGoToOtherMachinesEncryptedAlone(t *testing.T) {
	for _, gateway := range []string{"10.0.0.1:50051", "gateway:50051", "0.0.0.0:50051", "127.0.0.1.evil.example:1", "gateway"} {
		if _, err := newHandler(settings{address: "127.0.0.1:1", gateway: gateway}); err == nil {
			t.Errorf("%s was taken without --ca", gateway)
		}
		if _, err := newHandler(settings{address: "127.0.0.1:1", gateway: gateway, ca: "system"}); err != nil {
			t.Errorf("%s: %v", gateway, err)
		}
	}
	empty := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, ca := range []string{empty, filepath.Join(t.TempDir(), "missing.pem")} {
		if _, err := newHandler(settings{address: "127.0.0.1:1", gateway: "gateway:1", ca: ca}); err == nil {
			t.Errorf("%s was taken for an authority", ca)
		}
	}
}

func TestItListensOnThisMachineAlone(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		if err := run([]string{"--listen", address}); err == nil || !strings.Contains(err.Error(), "this machine alone") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestItAnswersByTheAddressThatItListensOn(t *testing.T) {
	for _, address := range []string{"127.0.0.2:50080", "[::1]:50080", "localhost:50080"} {
		handler, err := newHandler(settings{address: address, gateway: "127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		if got := ask(handler, "GET", "http://"+address+"/", nil).Code; got != 200 {
			t.Errorf("%s: %d", address, got)
		}
	}
}

func TestABodyThatIsNotReadLeavesTheConnectionAsItIs(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	handler, err := newHandler(settings{address: server.Listener.Addr().String(), gateway: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = handler
	server.Start()
	defer server.Close()
	for _, reused := range []bool{false, true} {
		traced := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
			if got.Reused != reused {
				t.Errorf("reused: %v", got.Reused)
			}
		}})
		request, err := http.NewRequestWithContext(traced, "POST", server.URL+"/v1/accounts/paper/orders", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "text/plain")
		answer, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusUnsupportedMediaType {
			t.Error(answer.Status, err)
		}
		answer.Body.Close()
	}
}

func TestAFolderIsServedInPlaceOfThePage(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "index.html"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ask(handlerOf(t, settings{page: folder}), "GET", "http://127.0.0.1:50080/", nil).Body.String(); got != "mine" {
		t.Error(got)
	}
	if _, err := newHandler(settings{address: "127.0.0.1:1", gateway: "127.0.0.1:1", page: filepath.Join(folder, "missing")}); err == nil {
		t.Error("a missing folder was taken")
	}
}

func TestAQueryThatTheContractDoesNotHaveIsNamed(t *testing.T) {
	handler := handlerOf(t, settings{})
	const root = "http://127.0.0.1:50080/v1/accounts"
	for _, one := range []struct {
		method, url, body string
		status            int
		field             string
	}{
		{"GET", root + "/paper/orders?openOnly=true&pageSize=5", "", 503, ""},
		{"GET", root + "/paper/orders?open_only=true", "", 503, ""},
		{"GET", root + "/paper/orders?openonly=true", "", 400, "openonly"},
		{"GET", root + "/paper/quotes/BTC/USDT?depth=3", "", 400, "depth"},
		{"GET", root + "/paper/orders/r1?order.clientOrderId=r2", "", 400, "order.clientOrderId"},
		{"GET", root + "/paper/orders/r1?order.orderId=o2", "", 400, "order.orderId"},
		{"GET", root + "/paper/positions?accountId=live", "", 400, "accountId"},
		{"GET", root + "/paper/positions?includeFlat=true", "", 503, ""},
		{"GET", root + "/paper/quotes/BTC/USDT?routeId=best", "", 400, "routeId"},
		{"GET", root + "/paper/orders/?openonly=true", "", 400, "openonly"},
		{"GET", root + "/paper%2Forders?openOnly=true", "", 503, ""},
		{"GET", root + "/paper/orders?openOnly=true;pageSize=5", "", 400, ""},
		{"GET", root + "?names=x", "", 400, "names"},
		{"GET", root + "/paper/orders/r1?order=r2", "", 400, "order"},
		{"GET", root + "/paper/orders/r1?order.name=r2", "", 400, "order.name"},
		{"GET", root + "/paper/orders/r1?accountId.x=1", "", 400, "accountId.x"},
		{"GET", root + "/paper/fills?startTime=2026-01-01T00:00:00Z", "", 503, ""},
		{"GET", root + "/paper/fills", "{}", 400, ""},
		{"POST", root + "/paper/orders?clientOrderId=r1", "{}", 400, "clientOrderId"},
		{"POST", root + "/paper/orders/r1:cancel?reason=none", "{}", 400, "reason"},
		{"POST", root + "/paper/orders/r1:cancel", "{}", 503, ""},
	} {
		request := httptest.NewRequest(one.method, one.url, strings.NewReader(one.body))
		request.Header.Set("Content-Type", "application/json")
		recorder := &fullDuplex{httptest.NewRecorder()}
		handler.ServeHTTP(recorder, request)
		said := recorder.Body.String()
		if recorder.Code != one.status {
			t.Errorf("%s %s: %d, not %d: %s", one.method, one.url, recorder.Code, one.status, said)
		}
		var answer struct {
			Message string
			Details []struct {
				Reason          string
				FieldViolations []struct{ Field string }
			}
		}
		if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		if one.status != 400 {
			continue
		}
		if answer.Message == "" || answer.Details[0].Reason != "MALFORMED_MESSAGE" {
			t.Errorf("%s %s: %s", one.method, one.url, said)
		}
		if one.field != "" && answer.Details[1].FieldViolations[0].Field != one.field {
			t.Errorf("%s %s: %s", one.method, one.url, said)
		}
	}
}
