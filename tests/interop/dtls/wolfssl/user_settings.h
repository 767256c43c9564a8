/* What of wolfSSL is built to judge us: DTLS 1.3 with ECDSA, SRTP profiles and the hybrid group. */
#include <sys/time.h>

#define SINGLE_THREADED
#define WOLFSSL_IGNORE_FILE_WARN
#define NO_SESSION_CACHE
#define WOLFSSL_SP_MATH_ALL
#define ECC_TIMING_RESISTANT
#define HAVE_HASHDRBG

#define WOLFSSL_DTLS
#define WOLFSSL_DTLS13
#define WOLFSSL_DTLS_CH_FRAG
#define WOLFSSL_SEND_HRR_COOKIE
#define WOLFSSL_TLS13
#define WOLFSSL_NO_TLS12
#define NO_OLD_TLS
#define HAVE_TLS_EXTENSIONS
#define HAVE_SUPPORTED_CURVES
#define HAVE_HKDF
#define WOLFSSL_SRTP
#define HAVE_KEYING_MATERIAL
#define KEEP_PEER_CERT

#define HAVE_ECC
#define HAVE_CURVE25519
#define WOLFSSL_HAVE_MLKEM
#define WOLFSSL_PQC_HYBRIDS
#define WOLFSSL_SHA3
#define WOLFSSL_SHAKE128
#define WOLFSSL_SHAKE256
#define HAVE_AESGCM
#define GCM_TABLE_4BIT
#define WOLFSSL_SHA384
#define WOLFSSL_SHA512

#define NO_RSA
#define NO_DH
#define NO_DSA
#define NO_RC4
#define NO_MD4
#define NO_MD5
#define NO_SHA
#define NO_DES3
#define NO_DES3_TLS_SUITES
#define NO_PSK
#define NO_PWDBASED
