// What Kubernetes' own code makes of the login in a pull secret: the keyring with which kubelet reads it, and the
// message that the container runtime gets. Standard input has lines {"id", "registry", "secret"}, where secret is the
// content of .dockerconfigjson in base64. Standard output has lines {"id", "username", "password"} in base64, or
// {"id", "error"}.
package main

import (
	"bufio"
	"encoding/json"
	"os"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	v1 "k8s.io/api/core/v1"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/kubernetes/pkg/credentialprovider"
	"k8s.io/kubernetes/pkg/credentialprovider/secrets"
)

type asked struct {
	ID       string `json:"id"`
	Registry string `json:"registry"`
	Secret   []byte `json:"secret"`
}

type told struct {
	ID       string `json:"id"`
	Username []byte `json:"username"`
	Password []byte `json:"password"`
	Error    string `json:"error,omitempty"`
}

func read(one asked) told {
	answer := told{ID: one.ID}
	secret := v1.Secret{Type: v1.SecretTypeDockerConfigJson, Data: map[string][]byte{v1.DockerConfigJsonKey: one.Secret}}
	keyring, err := secrets.MakeDockerKeyring([]v1.Secret{secret}, credentialprovider.UnionDockerKeyring{})
	if err != nil {
		answer.Error = "keyring: " + err.Error()
		return answer
	}
	found, ok := keyring.Lookup(one.Registry + "/conformance/provider:1")
	if !ok || len(found) != 1 {
		answer.Error = "keyring: no login for the image"
		return answer
	}
	wire := encoding.GetCodecV2(proto.Name)
	message, err := wire.Marshal(&runtime.AuthConfig{Username: found[0].Username, Password: found[0].Password})
	if err != nil {
		answer.Error = "runtime: " + err.Error()
		return answer
	}
	var received runtime.AuthConfig
	if err := wire.Unmarshal(message, &received); err != nil {
		answer.Error = "runtime: " + err.Error()
		return answer
	}
	answer.Username, answer.Password = []byte(received.Username), []byte(received.Password)
	return answer
}

func main() {
	lines, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	lines.Buffer(nil, 1<<26)
	for lines.Scan() {
		var one asked
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			panic(err)
		}
		if err := out.Encode(read(one)); err != nil {
			panic(err)
		}
	}
}
