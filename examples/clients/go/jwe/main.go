// Encrypt a secret as a JWE for a key from kms_jwk().
//
//	go run ./jwe key.jwk [ALG [ENC]] < secret
package main

import (
	"fmt"
	"io"
	"os"

	"gopkg.in/square/go-jose.v2"
)

// encrypt returns the compact form. For a string use its UTF-8, []byte(secret).
// If alg is empty, it is that of the JWK.
func encrypt(jwk, plaintext []byte, alg, enc string) (string, error) {
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(jwk); err != nil {
		return "", err
	}
	if alg == "" {
		alg = key.Algorithm
	}
	if alg == "" {
		alg = "RSA-OAEP-256"
	}
	// A JSONWebKey as Key puts its kid into the protected header.
	encrypter, err := jose.NewEncrypter(jose.ContentEncryption(enc),
		jose.Recipient{Algorithm: jose.KeyAlgorithm(alg), Key: &key}, nil)
	if err != nil {
		return "", err
	}
	jwe, err := encrypter.Encrypt(plaintext)
	if err != nil {
		return "", err
	}
	return jwe.CompactSerialize()
}

func run(keyFile, alg, enc string) error {
	jwk, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	plaintext, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	jwe, err := encrypt(jwk, plaintext, alg, enc)
	if err != nil {
		return err
	}
	fmt.Println(jwe)
	return nil
}

func main() {
	arguments := append(os.Args[1:], "", "", "")
	alg, enc := arguments[1], arguments[2]
	if enc == "" {
		enc = string(jose.A256GCM)
	}
	if err := run(arguments[0], alg, enc); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
