// Compiled into BoringSSL's test runner by runner.py.
//
// The runner's defaults are those of the web: an RSA certificate, on the server's side only, session
// resumption, no SRTP. Halfkey speaks DTLS-SRTP with ECDSA certificates on both sides, and nothing
// else. So the defaults, and only they, are moved to that profile; what a test does on purpose stays
// as it is, and so does how it judges.

package runner

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

const (
	srtpAEADAES128GCM uint16 = 0x0007
	srtpAEADAES256GCM uint16 = 0x0008
)

// adaptTests runs once all tests are there, before any is checked or run.
func adaptTests() {
	testCases = slices.DeleteFunc(testCases, func(test testCase) bool { return test.protocol != dtls })
	for i := range testCases {
		test := &testCases[i]
		adaptVersion(test)
		adaptResumption(test)
		adaptCredentials(test)
		adaptSRTP(test)
		adaptCookies(test)
		adaptCurves(test)
		if !strings.Contains(test.name, "RSA") {
			adaptCipherSuites(test.config.CipherSuites)
		}
	}
}

// runGuardedTest counts a test that the runner gives up in a panic as failed, so that the others run.
func runGuardedTest(
	dispatcher *shimDispatcher, status chan statusMsg, test *testCase, path string, malloc int64,
) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("the runner gave up: %v", reason)
		}
	}()
	return runTest(dispatcher, status, test, path, malloc)
}

// adaptVersion expects the version that a test has in its name; most leave it open.
func adaptVersion(test *testCase) {
	for _, version := range tlsVersions {
		if !test.shouldFail && test.expectations.version == 0 &&
			strings.Contains(test.name, version.name) && test.config.MaxVersion == version.version {
			test.expectations.version = version.version
		}
	}
}

// adaptResumption lets a test end with its first connection, unless the second is its subject.
func adaptResumption(test *testCase) {
	for _, subject := range []string{"Resum", "Session", "Ticket"} {
		if strings.Contains(test.name, subject) {
			return
		}
	}
	if test.resumeConfig == nil && test.resumeExpectations == nil && !test.expectResumeRejected &&
		!test.earlyData {
		test.resumeSession = false
		test.resumeRenewedSession = false
	}
}

// adaptCredentials puts a certificate on both sides, and ECDSA in the place of RSA.
func adaptCredentials(test *testCase) {
	if strings.Contains(test.name, "NoCertificate") {
		return
	}
	config := &test.config
	if test.testType == clientTest && config.ClientAuth == NoClientCert {
		config.ClientAuth = RequireAnyClientCert
	}
	if config.Credential == nil {
		config.Credential = &ecdsaP256Certificate
	}
	if test.shimCertificate == nil && len(test.shimCredentials) == 0 {
		test.shimCertificate = &ecdsaP256Certificate
	}
	if strings.Contains(test.name, "RSA") {
		return
	}
	for _, credential := range []**Credential{
		&config.Credential, &test.shimCertificate, &test.expectations.peerCertificate,
	} {
		*credential = adaptedCredential(*credential)
	}
}

// adaptedCredential gives the ECDSA certificate for the default one, with whatever follows it.
func adaptedCredential(credential *Credential) *Credential {
	if credential == &rsaCertificate || credential == &rsaChainCertificate {
		return &ecdsaP256Certificate
	}
	isDefault := func(der []byte) bool { return bytes.Equal(der, rsaCertificate.Certificate[0]) }
	if credential == nil || !slices.ContainsFunc(credential.Certificate, isDefault) {
		return credential
	}
	adapted := *credential
	adapted.PrivateKey = ecdsaP256Certificate.PrivateKey
	adapted.Certificate = slices.Clone(credential.Certificate)
	for i, der := range adapted.Certificate {
		if isDefault(der) {
			adapted.Certificate[i] = ecdsaP256Certificate.Certificate[0]
		}
	}
	return &adapted
}

// adaptSRTP has SRTP negotiated, with the profiles of RFC 7714 in the place of those of RFC 5764.
func adaptSRTP(test *testCase) {
	if len(test.config.SRTPProtectionProfiles) == 0 {
		test.config.SRTPProtectionProfiles = []uint16{srtpAEADAES128GCM}
		test.expectations.srtpProtectionProfile = srtpAEADAES128GCM
	}
	for i, profile := range test.config.SRTPProtectionProfiles {
		test.config.SRTPProtectionProfiles[i] = adaptedProfile(profile)
	}
	test.expectations.srtpProtectionProfile = adaptedProfile(test.expectations.srtpProtectionProfile)
	test.config.Bugs.SendSRTPProtectionProfile =
		adaptedProfile(test.config.Bugs.SendSRTPProtectionProfile)
	names := strings.NewReplacer(
		"SRTP_AES128_CM_SHA1_80", "SRTP_AEAD_AES_128_GCM",
		"SRTP_AES128_CM_SHA1_32", "SRTP_AEAD_AES_256_GCM",
	)
	for i, flag := range test.flags {
		test.flags[i] = names.Replace(flag)
	}
}

// adaptCookies has a server of ours ask for no cookie where a test counts flights and timers, as
// BoringSSL's never asks for one.
func adaptCookies(test *testCase) {
	bugs := &test.config.Bugs
	countsFlights := bugs.WriteFlightDTLS != nil || bugs.ACKFlightDTLS != nil ||
		slices.Contains(test.flags, "-expect-no-hrr")
	if test.testType == serverTest && countsFlights {
		test.flags = append(test.flags, "-no-cookie")
	}
}

func adaptedProfile(profile uint16) uint16 {
	switch profile {
	case SRTP_AES128_CM_HMAC_SHA1_80:
		return srtpAEADAES128GCM
	case SRTP_AES128_CM_HMAC_SHA1_32:
		return srtpAEADAES256GCM
	}
	return profile
}

// adaptCurves takes P-256 where a test means a group for which there is no first key share.
func adaptCurves(test *testCase) {
	for i, curve := range test.config.CurvePreferences {
		if curve == CurveP384 {
			test.config.CurvePreferences[i] = CurveP256
		}
	}
}

func adaptCipherSuites(suites []uint16) {
	for i, suite := range suites {
		switch suite {
		case TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:
			suites[i] = TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
		case TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:
			suites[i] = TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
		case TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:
			suites[i] = TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
		}
	}
}
