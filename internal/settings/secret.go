package settings

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/slipway-hq/slipway/internal/telemetry"
)

const (
	// fileSuffix makes the variable that names a file with the secret.
	fileSuffix = "_FILE"
	// maxSecret is more than any token or key has, and keeps a wrong path from
	// filling the memory.
	maxSecret = 64 << 10
)

var (
	// ErrTwice: both NAME and NAME_FILE are set, and nobody can know which counts.
	ErrTwice = errors.New("set twice")
	// ErrSecretTooLong: the file is no secret.
	ErrSecretTooLong = errors.New("longer than any secret")
)

// LookupSecret reads the secret of this name from the environment: from NAME,
// or from the file that NAME_FILE names, without the line end behind it. set is
// false when there is neither; a secret that is set may be empty.
func LookupSecret(name string) (secret telemetry.Secret, set bool, err error) {
	value, direct := os.LookupEnv(name)
	path, byFile := os.LookupEnv(name + fileSuffix)
	switch {
	case direct && byFile:
		return "", false, fmt.Errorf("%s and %s%s: %w; unset one", name, name, fileSuffix, ErrTwice)
	case direct:
		return telemetry.Secret(value), true, nil
	case !byFile:
		return "", false, nil
	}
	secret, err = readSecret(path)
	if err != nil {
		return "", false, fmt.Errorf("%s%s: %w", name, fileSuffix, err)
	}
	return secret, true, nil
}

func readSecret(path string) (telemetry.Secret, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxSecret {
		return "", fmt.Errorf("%s: %w", path, ErrSecretTooLong)
	}
	return telemetry.Secret(strings.TrimRight(string(data), "\r\n")), nil
}

// Options are what every kong parser of ours needs: secrets by NAME_FILE.
func Options() []kong.Option {
	return []kong.Option{kong.Resolvers(kong.ResolverFunc(resolveSecret))}
}

// resolveSecret fills a flag of a secret type from NAME_FILE. kong has read
// NAME itself before.
func resolveSecret(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !isSecret(flag.Target.Type()) {
		return nil, nil
	}
	for _, name := range flag.Envs {
		secret, set, err := LookupSecret(name)
		if err != nil {
			return nil, err
		}
		if set {
			return string(secret), nil
		}
	}
	return nil, nil
}

// isSecret recognises any type of text that hides itself from logs.
func isSecret(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.String && t.Implements(reflect.TypeFor[slog.LogValuer]())
}
