package orchestrator

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestWhoMayCallTheAPI(t *testing.T) {
	type call struct {
		remote, host string
		headers      map[string]string
	}
	for name, c := range map[string]struct {
		token string
		call  call
		want  int
	}{
		"loopback":              {call: call{"127.0.0.1:5", "127.0.0.1:8080", nil}, want: 200},
		"loopback by name":      {call: call{"[::1]:5", "localhost:8080", nil}, want: 200},
		"another machine":       {call: call{"10.0.0.7:5", "127.0.0.1:8080", nil}, want: 403},
		"rebound name":          {call: call{"127.0.0.1:5", "evil.example:8080", nil}, want: 403},
		"a name that begins so": {call: call{"127.0.0.1:5", "127.0.0.1.evil.example", nil}, want: 403},
		"forwarded":             {call: call{"127.0.0.1:5", "127.0.0.1:8080", map[string]string{"X-Forwarded-For": "127.0.0.1"}}, want: 403},
		"forwarded, new header": {call: call{"127.0.0.1:5", "127.0.0.1:8080", map[string]string{"Forwarded": "for=1.2.3.4"}}, want: 403},
		"a web page elsewhere":  {call: call{"127.0.0.1:5", "127.0.0.1:8080", map[string]string{"Origin": "https://evil.example"}}, want: 403},
		"a page of this host":   {call: call{"127.0.0.1:5", "127.0.0.1:8080", map[string]string{"Origin": "http://127.0.0.1:8065"}}, want: 200},
		"token":                 {token: "s3cret", call: call{"10.0.0.7:5", "slipway.example", map[string]string{"Authorization": "Bearer s3cret"}}, want: 200},
		"wrong token":           {token: "s3cret", call: call{"127.0.0.1:5", "127.0.0.1:8080", map[string]string{"Authorization": "Bearer s3cre"}}, want: 401},
		"no token":              {token: "s3cret", call: call{"127.0.0.1:5", "127.0.0.1:8080", nil}, want: 401},
		"token, bare":           {token: "s3cret", call: call{"127.0.0.1:5", "127.0.0.1:8080", map[string]string{"Authorization": "s3cret"}}, want: 401},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/slipway.api.v1.RunService/ListRuns", nil)
			r.RemoteAddr, r.Host = c.call.remote, c.call.host
			for k, v := range c.call.headers {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			newGuard(c.token).wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })).ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("answered %d, want %d", w.Code, c.want)
			}
		})
	}
}
