package orchestrator

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// guard lets only callers through who hold the API's token; without a token
// only callers on this machine: peer and Host must both be loopback and nothing
// may have been forwarded, so that neither a proxy nor a web page can lend its
// own place to others (DNS rebinding, cross-site requests).
type guard struct{ token []byte }

func newGuard(token string) guard {
	if token == "" {
		return guard{}
	}
	sum := sha256.Sum256([]byte(token))
	return guard{token: sum[:]}
}

// forwarding headers tell that somebody stands between us and the caller.
var forwarding = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"}

func (g guard) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status, sentence := g.refuse(r); status != 0 {
			deny(w, status, sentence)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g guard) refuse(r *http.Request) (status int, sentence string) {
	if g.token != nil {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		sum := sha256.Sum256([]byte(given))
		if !ok || subtle.ConstantTimeCompare(sum[:], g.token) != 1 {
			return http.StatusUnauthorized, "this API wants the token of SLIPWAY_API_TOKEN as Authorization: Bearer"
		}
		return 0, ""
	}
	for _, name := range forwarding {
		if r.Header.Get(name) != "" {
			return http.StatusForbidden, "without SLIPWAY_API_TOKEN the API answers on this machine only, and this request was forwarded"
		}
	}
	if !loopbackHost(r.RemoteAddr) || !loopbackHost(r.Host) || crossOrigin(r) {
		return http.StatusForbidden, "without SLIPWAY_API_TOKEN the API answers on this machine only: set the token on both sides"
	}
	return 0, ""
}

// crossOrigin tells whether a web page of another origin sent the request.
func crossOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	_, host, ok := strings.Cut(origin, "://")
	return !ok || !loopbackHost(host)
}

// loopbackHost tells whether host, with or without a port, is this machine's
// loopback.
func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// deny answers as Connect clients expect: a JSON error with its code.
func deny(w http.ResponseWriter, status int, sentence string) {
	code := "permission_denied"
	if status == http.StatusUnauthorized {
		code = "unauthenticated"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "message": sentence}) // the caller may have gone
}

// apiPrincipal is who calls the API.
func (g guard) principal() *eventv1.Principal {
	name := "local"
	if g.token != nil {
		name = "token"
	}
	return &eventv1.Principal{Kind: eventv1.Principal_KIND_API, Name: name}
}
