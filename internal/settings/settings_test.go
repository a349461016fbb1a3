package settings_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/slipway-hq/slipway/internal/settings"
	"github.com/slipway-hq/slipway/internal/telemetry"
)

type flags struct {
	NATS   settings.NATS     `embed:""`
	Log    settings.Log      `embed:""`
	Listen settings.Address  `env:"SLIPWAY_LISTEN" default:"127.0.0.1:8080"`
	Token  *telemetry.Secret `env:"SLIPWAY_TEST_TOKEN"`
}

func parse(t *testing.T, args ...string) (flags, error) {
	t.Helper()
	var f flags
	parser, err := kong.New(&f, settings.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return f, err
}

func TestFlagWinsOverEnvironmentAndEnvironmentOverDefault(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		args []string
		want string
	}{
		{nil, nil, "127.0.0.1:8080 info "},
		{map[string]string{"SLIPWAY_LISTEN": ":1", "SLIPWAY_LOG_LEVEL": "warn", "NATS_URL": "nats://env"}, nil, ":1 warn nats://env"},
		{
			map[string]string{"SLIPWAY_LISTEN": ":1", "SLIPWAY_LOG_LEVEL": "warn", "NATS_URL": "nats://env"},
			[]string{"--listen=:2", "--log-level=error", "--nats-url=nats://flag"}, ":2 error nats://flag",
		},
	} {
		t.Run(c.want, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			f, err := parse(t, c.args...)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(f.Listen) + " " + f.Log.Level + " " + f.NATS.URL; got != c.want {
				t.Errorf("got %q", got)
			}
			if f.NATS.Settings().URL != f.NATS.URL || f.NATS.External() != (f.NATS.URL != "") {
				t.Errorf("settings %+v", f.NATS.Settings())
			}
		})
	}
}

func TestSecretComesFromTheEnvironmentOrAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env  map[string]string
		want string // "-": not set
	}{
		"neither": {nil, "-"},
		"direct":  {map[string]string{"SLIPWAY_TEST_TOKEN": "direct"}, "direct"},
		"empty":   {map[string]string{"SLIPWAY_TEST_TOKEN": ""}, ""},
		"file":    {map[string]string{"SLIPWAY_TEST_TOKEN_FILE": path}, "from file"},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			f, err := parse(t)
			if err != nil {
				t.Fatal(err)
			}
			got := "-"
			if f.Token != nil {
				got = string(*f.Token)
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestUnusableSecretsAreRefusedWithoutShowingThem(t *testing.T) {
	t.Setenv("SLIPWAY_TEST_TOKEN_FILE", filepath.Join(t.TempDir(), "missing"))
	if _, err := parse(t); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "SLIPWAY_TEST_TOKEN_FILE") {
		t.Errorf("missing file: %v", err)
	}
	long := filepath.Join(t.TempDir(), "long")
	if err := os.WriteFile(long, bytes.Repeat([]byte("x"), 1<<17), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SLIPWAY_TEST_TOKEN_FILE", long)
	if _, err := parse(t); !errors.Is(err, settings.ErrSecretTooLong) {
		t.Errorf("long file: %v", err)
	}
	t.Setenv("SLIPWAY_TEST_TOKEN", "very-secret")
	if _, err := parse(t); !errors.Is(err, settings.ErrTwice) || strings.Contains(err.Error(), "very") {
		t.Errorf("both: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for text, loopback := range map[string]bool{
		"127.0.0.1:8080": true, "[::1]:0": true, "localhost:80": true, "127.9.9.9:1": true,
		":8080": false, "0.0.0.0:80": false, "[::]:80": false, "example.org:80": false, "10.0.0.1:80": false,
	} {
		f, err := parse(t, "--listen="+text)
		if err != nil || f.Listen.Loopback() != loopback {
			t.Errorf("%s: loopback %v, %v", text, f.Listen.Loopback(), err)
		}
	}
	for _, bad := range []string{"8080", "localhost", "a:b", "h:70000", "h:-1"} {
		if _, err := parse(t, "--listen="+bad); !errors.Is(err, settings.ErrAddress) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestLogSettings(t *testing.T) {
	if _, err := parse(t, "--log-format=xml"); err == nil {
		t.Error("unknown format accepted")
	}
	f, err := parse(t, "--log-format=json", "--log-level=debug")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log, err := f.Log.Logger(&out)
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("heard")
	if !strings.HasPrefix(out.String(), "{") {
		t.Errorf("logged %q", out.String())
	}
}
