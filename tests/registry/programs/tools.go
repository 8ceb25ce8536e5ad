//go:build tools

// Package others names the programs that tests/registry/others.py builds: registries and token services of others.
package others

import _ "github.com/docker/distribution/contrib/token-server"
