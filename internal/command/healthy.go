package command

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
)

// healthyFlags are the flags of healthy. A password is read from a file, because
// every user of a machine can see the arguments of a process.
type healthyFlags struct {
	url                string
	username           string
	passwordFile       string
	caFile, serverName string
	certFile, keyFile  string
}

func (s *session) addHealthy(app *kingpin.Application, commands map[string]runFunc) {
	cmd := app.Command("healthy", "Check the health of a running exporter. For containers, which have no other HTTP client.")
	f := new(healthyFlags)
	cmd.Flag("url", "URL of the health endpoint.").Default("http://localhost:10125/-/healthy").StringVar(&f.url)
	cmd.Flag("username", "User of basic authentication.").StringVar(&f.username)
	cmd.Flag("password-file", "File with the password of --username.").StringVar(&f.passwordFile)
	cmd.Flag("ca-file", "File with the CA certificates that verify the exporter's certificate, as PEM. Default: the CAs that this machine trusts.").StringVar(&f.caFile)
	cmd.Flag("server-name", "Name in the exporter's certificate. Default: the host of --url.").StringVar(&f.serverName)
	cmd.Flag("cert-file", "File with the client certificate, as PEM.").StringVar(&f.certFile)
	cmd.Flag("key-file", "File with the private key of the client certificate, as PEM.").StringVar(&f.keyFile)
	commands[cmd.FullCommand()] = func(ctx context.Context) exitCode {
		if err := f.check(ctx); err != nil {
			return s.fail(err)
		}
		return exitOK
	}
}

// check returns an error unless the exporter answers with status 200 within three
// seconds. The error does not contain the password.
func (f *healthyFlags) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := f.request(ctx)
	if err != nil {
		return err
	}
	tlsConfig, err := f.tlsConfig()
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = tlsConfig
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return fmt.Errorf("check the health of the exporter: %w", err) // package http removes the password
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("check the health of the exporter: %s: %s", request.URL.Redacted(), response.Status)
	}
	return nil
}

// request returns the request with its credentials: those of the flags, or else
// those of the URL.
func (f *healthyFlags) request(ctx context.Context) (*http.Request, error) {
	target, err := url.Parse(f.url)
	if err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
		// The errors of url.Parse quote the URL, and it may have a password.
		return nil, errors.New("--url: must be a URL such as http://localhost:10125/-/healthy")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, errors.New("--url: must be a URL such as http://localhost:10125/-/healthy")
	}
	if (f.username == "") != (f.passwordFile == "") {
		return nil, errors.New("--username and --password-file must be given together")
	}
	if f.username == "" {
		return request, nil
	}
	password, err := os.ReadFile(f.passwordFile)
	if err != nil {
		return nil, fmt.Errorf("--password-file: %w", err)
	}
	request.URL.User = nil
	request.SetBasicAuth(f.username, strings.TrimRight(string(password), "\r\n"))
	return request, nil
}

// tlsConfig returns the settings for an https URL.
func (f *healthyFlags) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{ServerName: f.serverName}
	if f.caFile != "" {
		text, err := os.ReadFile(f.caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca-file: %s has no certificate as PEM", f.caFile)
		}
	}
	if (f.certFile == "") != (f.keyFile == "") {
		return nil, errors.New("--cert-file and --key-file must be given together")
	}
	if f.certFile != "" {
		certificate, err := tls.LoadX509KeyPair(f.certFile, f.keyFile)
		if err != nil {
			return nil, fmt.Errorf("--cert-file and --key-file: %w", err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}
