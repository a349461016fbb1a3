package runlog

import (
	"net/url"
	"testing"
	"time"
)

func TestALinkIsGoodForOneRunAndATime(t *testing.T) {
	l := Link{Base: "https://slipway.example.org/", Key: []byte("key")}
	address, err := url.Parse(l.URL("j-1", began))
	must(t, err)
	if again := l.URL("j-1", began); again != address.String() {
		t.Errorf("the address changes: %s, %s", address, again)
	}
	if address.Path != "/logs/j-1" || address.Host != "slipway.example.org" {
		t.Errorf("address %s", address)
	}
	soon := began.Add(time.Hour)
	q := address.Query()
	if !l.Verify("j-1", q, soon) {
		t.Error("its own address is refused")
	}
	tampered := url.Values{paramUntil: {"9999999999"}, paramSignature: q[paramSignature]}
	for name, ok := range map[string]bool{
		"another run": l.Verify("j-2", q, soon),
		"too late":    l.Verify("j-1", q, began.Add(linkLife)),
		"longer":      l.Verify("j-1", tampered, soon),
		"another key": Link{Key: []byte("other")}.Verify("j-1", q, soon),
		"no key":      Link{}.Verify("j-1", q, soon),
		"no query":    l.Verify("j-1", url.Values{}, soon),
	} {
		if ok {
			t.Errorf("%s: accepted", name)
		}
	}
	if got := (Link{}).URL("j-1", began); got != "" {
		t.Errorf("without a base: %q", got)
	}
	if got := (Link{Base: "http://localhost:8080"}).URL("j-1", began); got != "http://localhost:8080/logs/j-1" {
		t.Errorf("without a key: %q", got)
	}
}
