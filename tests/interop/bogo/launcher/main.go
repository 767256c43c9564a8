// The program that BoringSSL's runner starts for each test: has `zygote.py` run the shim, which
// saves an interpreter's start each time. The runner's tests count in thousands.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
)

type result struct {
	Status int
	Stdout string
	Stderr string
}

func main() {
	result, err := run(os.Getenv("HALFKEY_ZYGOTE"), os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "launcher:", err)
		os.Exit(1)
	}
	fmt.Fprint(os.Stdout, result.Stdout)
	fmt.Fprint(os.Stderr, result.Stderr)
	os.Exit(result.Status)
}

func run(path string, arguments []string) (result, error) {
	var result result
	conn, err := net.Dial("unix", path)
	if err != nil {
		return result, err
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(arguments); err != nil {
		return result, err
	}
	return result, json.NewDecoder(conn).Decode(&result)
}
