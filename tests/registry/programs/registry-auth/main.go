// Command registry-auth serves the token service that Debian packages as golang-github-adxgun-registry-auth-dev; its
// sources stand in the folder theirs. Accounts come as JSON on the standard input.
package main

import (
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"

	theirs "others/registry-auth/theirs"
)

type accounts map[string]string

func (known accounts) Authenticate(username, password string) error {
	if wanted, ok := known[username]; ok && wanted == password {
		return nil
	}
	return errors.New("no such login")
}

func (known accounts) Authorize(asked *theirs.AuthorizationRequest) ([]string, error) {
	return asked.Actions, nil
}

func main() {
	known := accounts{}
	if err := json.NewDecoder(os.Stdin).Decode(&known); err != nil {
		log.Fatal(err)
	}
	service, err := theirs.NewAuthServer(&theirs.Option{
		Authenticator: known, Authorizer: known, TokenExpiration: 300,
		TokenIssuer: os.Args[2], Certfile: "issuer.crt", Keyfile: "issuer.pem",
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServeTLS(os.Args[1], "tls.crt", "tls.key", service))
}
