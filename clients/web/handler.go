package main

import (
	"crypto/tls"
	"crypto/x509"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/vanguard"
	"google.golang.org/genproto/googleapis/rpc/errdetails" // also shows the details of errors in words
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	brokergatev1 "brokergate/clients/go/brokergate/v1"
)

// largestMessage is that of the gateway's clients; a page of 1000 orders is well below it.
const largestMessage = 16 << 20

//go:embed page
var pages embed.FS

// settings are what the command line says; address is where it listens.
type settings struct {
	address, gateway, ca, page string
	hosts                      []string
}

// newHandler serves the contract's services, their REST paths and the page.
func newHandler(settings settings) (http.Handler, error) {
	backend, err := newBackend(settings)
	if err != nil {
		return nil, err
	}
	var services []*vanguard.Service
	for _, name := range serviceNames() {
		services = append(services, vanguard.NewService(name, backend,
			vanguard.WithTargetProtocols(vanguard.ProtocolGRPC),
			vanguard.WithTargetCodecs(vanguard.CodecProto),
			vanguard.WithNoTargetCompression(),
			vanguard.WithMaxMessageBufferBytes(largestMessage),
		))
	}
	page, err := pageOf(settings.page)
	if err != nil {
		return nil, err
	}
	transcoder, err := vanguard.NewTranscoder(services, vanguard.WithRules(restRules()...),
		vanguard.WithCodec(newStrictJSON), vanguard.WithUnknownHandler(page))
	if err != nil {
		return nil, err
	}
	return guard(strictQuery(transcoder), append(ownNames(settings.address), settings.hosts...)), nil
}

// newBackend hands calls on to the gateway, over HTTP/2.
func newBackend(settings settings) (http.Handler, error) {
	if settings.ca == "" && !isLoopback(settings.gateway) {
		return nil, fmt.Errorf("the gateway %s is on another machine: give --ca, so that tokens go there encrypted", settings.gateway)
	}
	target := &url.URL{Scheme: "http", Host: settings.gateway}
	streamsFromClients := clientStreams()
	transport := &http.Transport{
		Protocols: new(http.Protocols),
		// A gateway that has gone without a word is found.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 20 * time.Second, PingTimeout: 10 * time.Second},
	}
	if settings.ca == "" {
		transport.Protocols.SetUnencryptedHTTP2(true)
	} else {
		roots, err := rootsOf(settings.ca)
		if err != nil {
			return nil, err
		}
		target.Scheme = "https"
		transport.Protocols.SetHTTP2(true)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &httputil.ReverseProxy{
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(target)
			if !streamsFromClients[request.Out.URL.Path] {
				request.Out.Body = &withMessage{ReadCloser: request.Out.Body}
			}
		},
		Transport:     transport,
		FlushInterval: -1,
		ErrorHandler:  unavailable,
		ErrorLog:      log.New(os.Stderr, "", log.LstdFlags),
	}, nil
}

// rootsOf reads the authorities of a file; nil, the system's own, for `system`.
func rootsOf(ca string) (*x509.CertPool, error) {
	if ca == "system" {
		return nil, nil
	}
	text, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in it", ca)
	}
	return roots, nil
}

// unavailable answers as gRPC does where the gateway cannot be reached, and says no more of it than that; or where nothing was
// sent to it.
func unavailable(writer http.ResponseWriter, request *http.Request, err error) {
	code, message := codes.Unavailable, "the gateway cannot be reached"
	if errors.Is(err, errNoMessage) {
		code, message = codes.InvalidArgument, errNoMessage.Error()
	} else if request.Context().Err() == nil {
		log.Printf("%s: %v", request.URL.Path, err)
	}
	writer.Header().Set("Content-Type", "application/grpc")
	writer.Header().Set("Grpc-Status", fmt.Sprint(int(code)))
	writer.Header().Set("Grpc-Message", message)
}

var errNoMessage = errors.New("the call has no message")

// withMessage fails where a body ends before it has begun: vanguard ends one so whose request it could not read, and a gateway
// never answers a call that ends without a message.
type withMessage struct {
	io.ReadCloser
	begun bool
}

func (body *withMessage) Read(into []byte) (int, error) {
	count, err := body.ReadCloser.Read(into)
	body.begun = body.begun || count > 0
	if err == io.EOF && !body.begun {
		err = errNoMessage
	}
	return count, err
}

// strictJSON refuses what the contract does not have. Vanguard's own passes over it: an order whose `timeInForce` or `reduceOnly`
// is misspelt would be placed without it.
type strictJSON struct{ *vanguard.JSONCodec }

func newStrictJSON(types vanguard.TypeResolver) vanguard.Codec {
	codec := vanguard.NewJSONCodec(types)
	codec.UnmarshalOptions.DiscardUnknown = false
	return strictJSON{codec}
}

func (codec strictJSON) Unmarshal(text []byte, message proto.Message) error {
	return malformed(codec.JSONCodec.Unmarshal(text, message))
}

func (codec strictJSON) UnmarshalField(text []byte, message proto.Message, field protoreflect.FieldDescriptor) error {
	return malformed(codec.JSONCodec.UnmarshalField(text, message, field))
}

// malformed is the error of a request that cannot be read, with the contract's reason.
func malformed(err error) error {
	if err == nil {
		return nil
	}
	refused := connect.NewError(connect.CodeInvalidArgument, err)
	if detail, failed := connect.NewErrorDetail(malformedInfo()); failed == nil {
		refused.AddDetail(detail)
	}
	return refused
}

// malformedInfo is the contract's reason of a request that cannot be read.
func malformedInfo() *errdetails.ErrorInfo {
	reason := brokergatev1.ErrorReason_ERROR_REASON_MALFORMED_MESSAGE.String()
	return &errdetails.ErrorInfo{Domain: "brokergate", Reason: strings.TrimPrefix(reason, "ERROR_REASON_")}
}

// contractServices gives each service of the contract to `take`.
func contractServices(take func(protoreflect.ServiceDescriptor)) {
	protoregistry.GlobalFiles.RangeFilesByPackage(
		brokergatev1.File_brokergate_v1_order_proto.Package(),
		func(file protoreflect.FileDescriptor) bool {
			for index := range file.Services().Len() {
				take(file.Services().Get(index))
			}
			return true
		})
}

// serviceNames are the contract's services, and health.
func serviceNames() []string {
	names := []string{"grpc.health.v1.Health"}
	contractServices(func(service protoreflect.ServiceDescriptor) {
		names = append(names, string(service.FullName()))
	})
	return names
}

// clientStreams are the paths of the methods whose clients may end without a message.
func clientStreams() map[string]bool {
	paths := map[string]bool{}
	contractServices(func(service protoreflect.ServiceDescriptor) {
		for index := range service.Methods().Len() {
			method := service.Methods().Get(index)
			paths[fmt.Sprintf("/%s/%s", service.FullName(), method.Name())] = method.IsStreamingClient()
		}
	})
	return paths
}

// pageOf serves the page that comes along, or a folder.
func pageOf(folder string) (http.Handler, error) {
	var files fs.FS
	if folder == "" {
		var err error
		if files, err = fs.Sub(pages, "page"); err != nil {
			return nil, err
		}
	} else {
		if found, err := os.Stat(folder); err != nil || !found.IsDir() {
			return nil, errors.Join(fmt.Errorf("--page %s is no folder", folder), err)
		}
		files = os.DirFS(folder)
	}
	server := http.FileServerFS(files)
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		writer.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
		writer.Header().Set("X-Content-Type-Options", "nosniff")
		writer.Header().Set("Cache-Control", "no-cache")
		server.ServeHTTP(writer, request)
	}), nil
}

// guard keeps other people's pages out. A gateway on loopback may be open to all of this machine, and any page in its browser
// can send requests here: one from another origin, or by a name of its own that leads to this address, is refused.
func guard(next http.Handler, hosts []string) http.Handler {
	named := http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if !slices.Contains(hosts, strings.ToLower(request.Host)) {
			http.Error(writer, "this is not the name of this server (--host)", http.StatusMisdirectedRequest)
			return
		}
		if site := request.Header.Get("Sec-Fetch-Site"); site == "cross-site" && request.Header.Get("Sec-Fetch-Mode") != "navigate" {
			http.Error(writer, "not for other sites' pages", http.StatusForbidden)
			return
		}
		// A stream's answer begins while HTTP/1.1 still has the request's last bytes, which Go would otherwise cut off.
		if err := http.NewResponseController(writer).EnableFullDuplex(); err != nil {
			log.Printf("%s: %v", request.URL.Path, err)
		}
		next.ServeHTTP(writer, request)
		// Of full duplex: Go's server panics where it finds, after the handler, that a body was not read.
		_ = request.Body.Close()
	})
	return http.NewCrossOriginProtection().Handler(named)
}

// ownNames are those by which a browser of this machine asks.
func ownNames(address string) []string {
	own, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil
	}
	var names []string
	for _, host := range []string{own, "127.0.0.1", "localhost", "::1"} {
		names = append(names, net.JoinHostPort(host, port))
	}
	return names
}

// isLoopback says whether what goes to the address stays on this machine.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
