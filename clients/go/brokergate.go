// Package brokergate trades through a brokergate gateway: calls that may be repeated safely, streams that resume by
// their cursor, exact decimals and typed errors.
//
// A [Client] has a generated stub for each service of the contract (package brokergatev1), and all that is said here of
// deadlines, repeats, ids, decimals and errors holds for every call of theirs. The methods of Client itself are for what
// a strategy does all day, with decimals in place of text.
package brokergate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	v1 "brokergate/clients/go/brokergate/v1"
)

const (
	// DefaultDeadline ends a unary call, its repeats included, whose context has no deadline of its own.
	DefaultDeadline = 10 * time.Second

	keepaliveTime    = 20 * time.Second
	keepaliveTimeout = 10 * time.Second
	// A page of 1000 orders is well below it.
	maxReceiveBytes = 16 << 20
)

// Client is a connection to a gateway, safe for many goroutines. Connect makes one.
type Client struct {
	Orders         v1.OrderServiceClient
	Positions      v1.PositionServiceClient
	Accounts       v1.AccountServiceClient
	EventStreams   v1.EventServiceClient
	Brokers        v1.BrokerServiceClient
	Instruments    v1.InstrumentServiceClient
	MarketData     v1.MarketDataServiceClient
	TradingControl v1.TradingControlServiceClient
	Simulator      v1.SimulatorServiceClient

	conn     *grpc.ClientConn
	deadline time.Duration
	open     context.Context
	shut     context.CancelFunc
}

// ErrClosed is what an Error of a call or stream unwraps to whose Client was closed under way.
var ErrClosed = errors.New("this client was closed")

// Option changes how Connect connects.
type Option func(*settings) error

type settings struct {
	tls            *tls.Config
	token          bearer
	plaintextToken bool
	deadline       time.Duration
	clientName     string
}

// bearer is a token that no format shows: fmt writes a function as its address, also in the depth of a struct.
type bearer func() string

var tokenForm = regexp.MustCompile(`\A[!-~]+\z`)

// GetRequestMetadata is for gRPC, which sends the token with every call.
func (token bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + token()}, nil
}

// RequireTransportSecurity is for gRPC; Connect has the rule, which knows of loopback.
func (bearer) RequireTransportSecurity() bool { return false }

// WithToken shows this bearer token with every call: over TLS, or over plaintext to this machine.
func WithToken(text string) Option {
	return func(set *settings) error {
		if !tokenForm.MatchString(text) {
			// The value itself stays out of the message.
			return refused("token", "is empty or holds blanks or control characters; give it as it was printed")
		}
		set.token = func() string { return text }
		return nil
	}
}

// WithPlaintextToken lets the token go over plaintext to another machine, where everybody on the way can read it.
func WithPlaintextToken() Option {
	return func(set *settings) error {
		set.plaintextToken = true
		return nil
	}
}

// WithTLS encrypts, and checks the gateway's certificate as config says.
func WithTLS(config *tls.Config) Option {
	return func(set *settings) error {
		set.tls = config.Clone()
		return nil
	}
}

// TLSFiles makes a configuration for WithTLS from PEM files. An empty caFile means the system's authorities; with
// certificateFile and keyFile the client shows a certificate of its own (mTLS).
func TLSFiles(caFile, certificateFile, keyFile string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		text, err := os.ReadFile(caFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", caFile)
		}
	}
	if (certificateFile == "") != (keyFile == "") {
		return nil, errors.New("certificateFile and keyFile go together: give both for mTLS, or neither")
	}
	if certificateFile != "" {
		pair, err := tls.LoadX509KeyPair(certificateFile, keyFile)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// WithDeadline changes how long a unary call may take whose context has no deadline.
func WithDeadline(deadline time.Duration) Option {
	return func(set *settings) error {
		if deadline <= 0 {
			return refused("deadline", fmt.Sprintf("%v is not above zero", deadline))
		}
		set.deadline = deadline
		return nil
	}
}

// WithClientName begins the user agent, which the gateway's audit keeps.
func WithClientName(name string) Option {
	return func(set *settings) error {
		set.clientName = name
		return nil
	}
}

// Connect makes a client of the gateway at address (host:port). It connects when it is first used; without WithTLS
// that is plaintext.
func Connect(address string, options ...Option) (*Client, error) {
	set := settings{deadline: DefaultDeadline, clientName: "brokergate-go"}
	for _, option := range options {
		if err := option(&set); err != nil {
			return nil, err
		}
	}
	client := &Client{deadline: set.deadline}
	client.open, client.shut = context.WithCancel(context.Background())
	dial := []grpc.DialOption{
		grpc.WithUserAgent(set.clientName),
		grpc.WithUnaryInterceptor(client.unary),
		grpc.WithStreamInterceptor(stream),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		// gRPC's own pauses grow to two minutes, which is long for one who holds positions.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 2, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		// Repeats are decided in one place, where the ids are known.
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceiveBytes)),
	}
	if set.tls != nil {
		dial = append(dial, grpc.WithTransportCredentials(credentials.NewTLS(set.tls)))
	} else {
		dial = append(dial, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	if isLoopback(address) {
		// A proxy that the environment names would be another machine, and get the token.
		dial = append(dial, grpc.WithNoProxy())
	}
	if set.token != nil {
		if set.tls == nil && !set.plaintextToken && !isLoopback(address) {
			return nil, refused("token", fmt.Sprintf("does not go to %s over plaintext, where everybody on the way can read "+
				"it: use WithTLS, or WithPlaintextToken if the way is safe", address))
		}
		dial = append(dial, grpc.WithPerRPCCredentials(set.token))
	}
	conn, err := grpc.NewClient(address, dial...)
	if err != nil {
		return nil, err
	}
	client.conn = conn
	client.Orders = v1.NewOrderServiceClient(conn)
	client.Positions = v1.NewPositionServiceClient(conn)
	client.Accounts = v1.NewAccountServiceClient(conn)
	client.EventStreams = v1.NewEventServiceClient(conn)
	client.Brokers = v1.NewBrokerServiceClient(conn)
	client.Instruments = v1.NewInstrumentServiceClient(conn)
	client.MarketData = v1.NewMarketDataServiceClient(conn)
	client.TradingControl = v1.NewTradingControlServiceClient(conn)
	client.Simulator = v1.NewSimulatorServiceClient(conn)
	return client, nil
}

// Conn is the connection, for stubs of other services on it (grpc.health.v1).
func (client *Client) Conn() grpc.ClientConnInterface { return client.conn }

// Close ends the connection, and with it the calls and streams that are under way.
func (client *Client) Close() error {
	client.shut()
	return client.conn.Close()
}

// One host and a port: `dns://` may name first who is asked for the name, and that is not where the call goes.
var oneHost = regexp.MustCompile(`\A(?:(?:dns|passthrough|ipv4|ipv6):)?/*(?:\[([^\]]*)\]|([^:/]*))(?::[\w-]+)?\z`)

func isLoopback(address string) bool {
	if strings.HasPrefix(address, "unix:") || strings.HasPrefix(address, "unix-abstract:") {
		return true
	}
	found := oneHost.FindStringSubmatch(address)
	if found == nil {
		return false
	}
	host := found[1] + found[2]
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
