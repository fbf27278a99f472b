// Encrypt a secret with a public key from the database.
//
//	go run . sha1 sha1 public.pem < secret
package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1"
	_ "crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

var digests = map[string]crypto.Hash{
	"sha1":   crypto.SHA1,
	"sha256": crypto.SHA256,
}

// encrypt returns base64. publicKey is SPKI PEM. plaintext is bytes; for a
// string use its UTF-8, []byte(secret). The limit is
// modulus bytes - 2 * digest bytes - 2 (214 with 2048 bits and SHA-1); a longer
// plaintext gives rsa.ErrMessageTooLong.
func encrypt(publicKey, plaintext []byte, digest, mgf1Digest crypto.Hash) (string, error) {
	block, _ := pem.Decode(publicKey)
	if block == nil {
		return "", errors.New("the public key is not PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return "", err
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return "", errors.New("the public key is not RSA")
	}
	if !digest.Available() {
		return "", fmt.Errorf("no such digest: %v", digest)
	}
	// EncryptOAEP uses its digest for MGF1 as well. From Go 1.26 on there is
	// EncryptOAEPWithOptions, whose options have an MGFHash.
	if mgf1Digest != digest {
		return "", fmt.Errorf("EncryptOAEP has one digest: %v with MGF1-%v cannot be had",
			digest, mgf1Digest)
	}
	// Never use EncryptPKCS1v15: kms refuses PKCS#1 v1.5.
	ciphertext, err := rsa.EncryptOAEP(digest.New(), rand.Reader, key, plaintext, nil)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(ciphertext), nil
}

func run(digest, mgf1Digest, keyFile string) error {
	publicKey, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	plaintext, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	ciphertext, err := encrypt(publicKey, plaintext, digests[digest], digests[mgf1Digest])
	if err != nil {
		return err
	}
	fmt.Println(ciphertext)
	return nil
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: encrypt DIGEST MGF1-DIGEST PUBLIC.PEM < secret")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
