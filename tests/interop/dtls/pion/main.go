// One DTLS 1.2 handshake of pion/dtls over UDP on the loopback interface.
//
//	peer client|server PORT CERTIFICATE KEY PROFILE
//
// A server ignores PORT, and prints the one it listens on. Then comes one line on what the handshake
// led to, and the end of the standard input ends the process.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/pion/dtls/v3"
)

const patience = 20 * time.Second

type report struct {
	Profile     int    `json:"profile"`
	Certificate string `json:"certificate"`
	SRTP        string `json:"srtp"`
	Exported    string `json:"exported"`
}

var lengths = map[dtls.SRTPProtectionProfile]int{
	dtls.SRTP_AEAD_AES_128_GCM: 2 * (16 + 12),
	dtls.SRTP_AEAD_AES_256_GCM: 2 * (32 + 12),
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 5 {
		return errors.New("usage: peer client|server PORT CERTIFICATE KEY PROFILE")
	}
	port, err := strconv.Atoi(arguments[1])
	if err != nil {
		return err
	}
	certificate, err := load(arguments[2], arguments[3])
	if err != nil {
		return err
	}
	profile, err := strconv.Atoi(arguments[4])
	if err != nil {
		return err
	}
	shared := []dtls.Option{
		dtls.WithCertificates(certificate),
		dtls.WithSRTPProtectionProfiles(dtls.SRTPProtectionProfile(profile)),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithInsecureSkipVerify(true), // self-signed: what we saw goes into the report
	}
	connection, err := connect(arguments[0] == "server", port, shared)
	if err != nil {
		return err
	}
	if err := describe(connection); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, connection.Close())
}

func load(certificate, key string) (tls.Certificate, error) {
	der, err := os.ReadFile(certificate)
	if err != nil {
		return tls.Certificate{}, err
	}
	encoded, err := os.ReadFile(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	private, err := x509.ParsePKCS8PrivateKey(encoded)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, err
}

func connect(server bool, port int, shared []dtls.Option) (*dtls.Conn, error) {
	connection, err := open(server, port, shared)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return connection, connection.HandshakeContext(limited)
}

func open(server bool, port int, shared []dtls.Option) (*dtls.Conn, error) {
	loopback := net.IPv4(127, 0, 0, 1)
	if !server {
		var options []dtls.ClientOption
		for _, option := range shared {
			options = append(options, option)
		}
		return dtls.DialWithOptions("udp", &net.UDPAddr{IP: loopback, Port: port}, options...)
	}
	options := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert)}
	for _, option := range shared {
		options = append(options, option)
	}
	listener, err := dtls.ListenWithOptions("udp", &net.UDPAddr{IP: loopback}, options...)
	if err != nil {
		return nil, err
	}
	fmt.Println(listener.Addr().(*net.UDPAddr).Port)
	accepted, err := listener.Accept()
	if err != nil {
		return nil, err
	}
	return accepted.(*dtls.Conn), nil
}

func describe(connection *dtls.Conn) error {
	state, ok := connection.ConnectionState()
	if !ok || len(state.PeerCertificates) == 0 {
		return errors.New("the handshake left no state or no certificate")
	}
	profile, ok := connection.SelectedSRTPProtectionProfile()
	if !ok {
		return errors.New("no use_srtp")
	}
	material, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, lengths[profile])
	if err != nil {
		return err
	}
	exported, err := state.ExportKeyingMaterial("EXPERIMENTAL halfkey", nil, 77)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(report{
		Profile:     int(profile),
		Certificate: hex.EncodeToString(state.PeerCertificates[0]),
		SRTP:        hex.EncodeToString(material),
		Exported:    hex.EncodeToString(exported),
	})
}
