// Go's crypto/rsa, as a service outside of the database would use it.
//
//	peer KEY.pem CIPHERTEXT		(RSA-OAEP with SHA-1, raw bytes)
//
// reads "pem N" (the PEM parsed in each call) or "kept N" (a key kept), one a
// line, and answers with wall and processor time in nanoseconds.
package main

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"syscall"
	"time"
)

func parse(text []byte) *rsa.PrivateKey {
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	check(err)
	return key
}

func processorTime() int64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	check(err)
	block, err := os.ReadFile(os.Args[2])
	check(err)
	kept := parse(text)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var name string
		var n int
		_, err := fmt.Sscan(lines.Text(), &name, &n)
		check(err)
		start, used := time.Now(), processorTime()
		for i := 0; i < n; i++ {
			key := kept
			if name == "pem" {
				key = parse(text)
			}
			_, err := rsa.DecryptOAEP(sha1.New(), rand.Reader, key, block, nil)
			check(err)
		}
		taken := time.Since(start).Nanoseconds()
		fmt.Println(taken, processorTime()-used)
	}
}
