/* One DTLS 1.3 handshake of wolfSSL over UDP on the loopback interface.
 *
 *     peer client|server PORT CERTIFICATE KEY PROFILE GROUP
 *
 * A server ignores PORT, and prints the one it listens on. GROUP is the one group that is spoken.
 * Then comes one line on what the handshake led to, and the end of the standard input ends the
 * process.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <wolfssl/internal.h>
#include <wolfssl/ssl.h>

#define SRTP_LABEL "EXTRACTOR-dtls_srtp"
#define OTHER_LABEL "EXPERIMENTAL halfkey"
#define OTHER_LENGTH 77
#define LARGEST_DATAGRAM 65536

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void require(int ok, const char *what) {
    if (!ok) {
        fail(what);
    }
}

/* Of both directions: keys and salts (RFC 7714 section 12, RFC 8723 section 5). */
static size_t srtp_length(int profile) {
    switch (profile) {
    case 7: return 2 * (16 + 12);
    case 8: return 2 * (32 + 12);
    case 9: return 2 * (2 * 16 + 2 * 12);
    case 10: return 2 * (2 * 32 + 2 * 12);
    default: fail("an unknown profile"); return 0;
    }
}

static int accept_any(int preverify, WOLFSSL_X509_STORE_CTX *store) {
    (void)preverify;
    (void)store;
    return 1; /* self-signed: what we saw goes into the report */
}

static WOLFSSL_CTX *make_context(int is_server, const char *certificate, const char *key) {
    WOLFSSL_CTX *context =
        wolfSSL_CTX_new(is_server ? wolfDTLSv1_3_server_method() : wolfDTLSv1_3_client_method());
    int mode = WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    require(context != NULL, "no context");
    wolfSSL_CTX_set_verify(context, mode, accept_any);
    require(wolfSSL_CTX_use_certificate_file(context, certificate, WOLFSSL_FILETYPE_ASN1) ==
                WOLFSSL_SUCCESS, "the certificate");
    require(wolfSSL_CTX_use_PrivateKey_file(context, key, WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS,
            "the key");
    return context;
}

static int open_socket(int is_server, int port) {
    struct sockaddr_in here = {.sin_family = AF_INET}, there = here;
    socklen_t length = sizeof here;
    char first;
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
    here.sin_addr.s_addr = there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    require(descriptor >= 0 && bind(descriptor, (struct sockaddr *)&here, length) == 0, "bind");
    if (is_server) {
        require(getsockname(descriptor, (struct sockaddr *)&here, &length) == 0, "getsockname");
        printf("%d\n", ntohs(here.sin_port));
        fflush(stdout);
        recvfrom(descriptor, &first, 1, MSG_PEEK, (struct sockaddr *)&there, &length);
    } else {
        there.sin_port = htons(port);
    }
    require(connect(descriptor, (struct sockaddr *)&there, sizeof there) == 0, "connect");
    return descriptor;
}

/* wolfSSL names the profiles of single GCM only, but keeps them by code point. */
static WOLFSSL *make_association(WOLFSSL_CTX *context, int descriptor, int profile, int group) {
    struct sockaddr_in there;
    socklen_t length = sizeof there;
    WOLFSSL *association = wolfSSL_new(context);
    require(association != NULL, "no association");
    association->dtlsSrtpProfiles = (word16)(1 << profile);
    require(wolfSSL_set_groups(association, &group, 1) == WOLFSSL_SUCCESS, "the group");
    require(getpeername(descriptor, (struct sockaddr *)&there, &length) == 0, "getpeername");
    wolfSSL_dtls_set_peer(association, &there, length);
    wolfSSL_set_fd(association, descriptor);
    wolfSSL_KeepArrays(association); /* for the exporter */
    return association;
}

static void print_hexadecimal(const char *name, const unsigned char *data, size_t length) {
    printf(", \"%s\": \"", name);
    for (size_t index = 0; index < length; index++) {
        printf("%02x", data[index]);
    }
    printf("\"");
}

static void export(WOLFSSL *association, const char *name, const char *label, size_t length) {
    unsigned char exported[256];
    require(length <= sizeof exported, "too long an export");
    require(wolfSSL_export_keying_material(
                association, exported, length, label, strlen(label), NULL, 0, 0) == WOLFSSL_SUCCESS,
            "the exporter");
    print_hexadecimal(name, exported, length);
}

static void report(WOLFSSL *association) {
    int length = 0, profile = association->dtlsSrtpId;
    const unsigned char *der;
    WOLFSSL_X509 *certificate = wolfSSL_get_peer_certificate(association);
    require(certificate != NULL, "no certificate");
    der = wolfSSL_X509_get_der(certificate, &length);
    printf("{\"profile\": %d", profile);
    print_hexadecimal("certificate", der, (size_t)length);
    export(association, "srtp", SRTP_LABEL, srtp_length(profile));
    export(association, "exported", OTHER_LABEL, OTHER_LENGTH);
    printf("}\n");
    fflush(stdout);
}

static void *wait_for_the_end(void *nothing) {
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    _exit(0);
    return nothing;
}

int main(int count, char **arguments) {
    unsigned char data[LARGEST_DATAGRAM];
    int is_server, descriptor;
    pthread_t thread;
    WOLFSSL *association;
    require(count == 7, "usage: peer client|server PORT CERTIFICATE KEY PROFILE GROUP");
    is_server = strcmp(arguments[1], "server") == 0;
    require(pthread_create(&thread, NULL, wait_for_the_end, NULL) == 0, "a thread");
    wolfSSL_Init();
    descriptor = open_socket(is_server, atoi(arguments[2]));
    association = make_association(make_context(is_server, arguments[3], arguments[4]), descriptor,
                                   atoi(arguments[5]), atoi(arguments[6]));
    if (wolfSSL_negotiate(association) != WOLFSSL_SUCCESS) {
        fprintf(stderr, "wolfSSL: error %d\n", wolfSSL_get_error(association, 0));
        return 1;
    }
    report(association);
    for (;;) { /* acknowledges, and repeats what was lost */
        if (wolfSSL_read(association, data, sizeof data) == 0) {
            return 0;
        }
    }
}
