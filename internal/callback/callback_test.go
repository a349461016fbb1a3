package callback_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/internal/callback"
)

var (
	key    = []byte("a key for tests")
	run    = identity.RunID(identity.Job, "test")
	now    = time.Unix(1_800_000_000, 0)
	expiry = now.Add(time.Hour)
)

func TestAnAddressSpeaksForItsRunUntilItsExpiry(t *testing.T) {
	path := callback.Path(key, run, expiry)
	for _, at := range []time.Time{now, expiry.Add(-time.Second)} {
		if got, err := callback.Verify(key, path, at); err != nil || got != run {
			t.Errorf("at %s: Verify = %q, %v; want %q", at, got, err, run)
		}
	}
	if _, err := callback.Verify(key, path, expiry); !errors.Is(err, callback.ErrExpired) {
		t.Errorf("at its expiry: %v, want ErrExpired", err)
	}
}

func TestEveryChangeOfAnAddressIsRefused(t *testing.T) {
	path := callback.Path(key, run, expiry)
	for i := range path {
		for _, other := range []byte{'a', '0', '/', 'Z', '%'} {
			if path[i] == other {
				continue
			}
			changed := path[:i] + string(other) + path[i+1:]
			if _, err := callback.Verify(key, changed, now); !errors.Is(err, callback.ErrMalformed) && !errors.Is(err, callback.ErrBad) {
				t.Fatalf("%s: %v", changed, err)
			}
		}
	}
}

func TestWhatIsRefusedAndWhy(t *testing.T) {
	path := callback.Path(key, run, expiry)
	parts := strings.Split(path, "/")
	other := identity.RunID(identity.Job, "other")
	for name, c := range map[string]struct {
		key  []byte
		path string
		want error
	}{
		"nothing":           {key, "", callback.ErrMalformed},
		"another page":      {key, "/healthz", callback.ErrMalformed},
		"no signature":      {key, callback.Prefix + run + "/" + parts[3], callback.ErrMalformed},
		"one part more":     {key, path + "/", callback.ErrMalformed},
		"no run":            {key, callback.Prefix + "x/" + parts[3] + "/" + parts[4], callback.ErrMalformed},
		"no number":         {key, callback.Prefix + run + "/soon/" + parts[4], callback.ErrMalformed},
		"half a signature":  {key, path[:len(path)-1], callback.ErrMalformed},
		"another run":       {key, callback.Prefix + other + "/" + parts[3] + "/" + parts[4], callback.ErrBad},
		"a later expiry":    {key, callback.Prefix + run + "/1900000000/" + parts[4], callback.ErrBad},
		"a zero before it":  {key, callback.Prefix + run + "/0" + parts[3] + "/" + parts[4], callback.ErrBad},
		"another key":       {[]byte("another"), path, callback.ErrBad},
		"no key":            {nil, callback.Path(nil, run, expiry), callback.ErrBad},
		"a long dead one":   {key, callback.Path(key, run, now.Add(-time.Hour)), callback.ErrExpired},
		"expired and false": {[]byte("another"), callback.Path(key, run, now.Add(-time.Hour)), callback.ErrBad},
	} {
		if _, err := callback.Verify(c.key, c.path, now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
