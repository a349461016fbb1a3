package roster_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/roster"
)

var arm = roster.Runner{ID: "r-arm", Name: "Anvil", Pools: []string{"default", "build"}, Labels: map[string]string{"arch": "arm64", "os": "linux"}}

func TestWhoFits(t *testing.T) {
	for _, c := range []struct {
		needs roster.Needs
		want  bool
		said  string // with this one runner alone
	}{
		{roster.Needs{Pool: "build"}, true, ""},
		{roster.Needs{Pool: "gpu"}, false, "no runner of pool gpu is connected"},
		{roster.Needs{Pool: roster.AnyPool}, true, ""},
		{roster.Needs{Pool: "build", Labels: map[string]string{"arch": "arm64"}}, true, ""},
		{roster.Needs{Pool: "build", Labels: map[string]string{"arch": "amd64"}}, false, "no runner of pool build with the label arch=amd64 is connected"},
		{roster.Needs{Pool: "build", Labels: map[string]string{"zone": ""}}, false, "no runner of pool build with the label zone= is connected"},
		{roster.Needs{Pool: roster.AnyPool, Labels: map[string]string{"os": "linux", "arch": "amd64"}}, false, "no runner of any pool with labels arch=amd64 os=linux is connected"},
		{roster.Needs{Pool: "build", Runner: "anvil"}, true, ""},
		{roster.Needs{Pool: "build", Runner: "r-arm"}, true, ""},
		{roster.Needs{Pool: "build", Runner: "R-ARM"}, false, "runner R-ARM is not connected"},
		{roster.Needs{Pool: "gpu", Runner: "anvil"}, false, "runner anvil is not one of pool gpu"},
		{roster.Needs{Pool: "build", Runner: "forge"}, false, "runner forge is not connected"},
	} {
		if got := arm.Fits(c.needs); got != c.want {
			t.Errorf("%s: %t", c.needs, got)
		}
		if got := roster.Missing(c.needs, []roster.Runner{arm}); got != c.said {
			t.Errorf("%s: %q, want %q", c.needs, got, c.said)
		}
	}
	draining := arm
	draining.Draining = true
	if got := roster.Missing(roster.Needs{Pool: "build"}, []roster.Runner{draining}); got != "no runner of pool build is connected" {
		t.Error(got)
	}
	if (roster.Needs{Pool: "build"}).Picky() || !(roster.Needs{Pool: roster.AnyPool}).Picky() {
		t.Error("a pool alone is not picky, all of them are")
	}
	if (roster.Runner{}).Called("") {
		t.Error("nobody is called nothing")
	}
}

func fleet(rooms ...int) []roster.Candidate {
	var out []roster.Candidate
	for i, room := range rooms {
		out = append(out, roster.Candidate{Runner: roster.Runner{Incarnation: fmt.Sprint(i), Name: fmt.Sprint("n", i), Pools: []string{"p"}, Labels: map[string]string{"a": "b"}}, Room: room})
	}
	return out
}

var labelled = roster.Needs{Pool: "p", Labels: map[string]string{"a": "b"}}

func TestAFullOneAndOneThatLetAnOfferPassComeLast(t *testing.T) {
	f := fleet(2, 2, 2)
	f[0].Busy, f[1].Passed, f[2].Busy = 2, true, 1
	for _, want := range []int{2, 1, 1, -1} {
		got := roster.Choose(labelled, f)
		if got != want {
			t.Fatalf("chose %d, want %d", got, want)
		}
		if got >= 0 {
			f[got].Busy++
		}
	}
}

// Offers to equal runners that answer are spread so that no two ever differ by
// more than one; whoever does not fit, drains or has no room gets none.
func TestOffersAreSpreadEvenly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, room := rapid.IntRange(1, 8).Draw(t, "runners"), rapid.IntRange(1, 9).Draw(t, "room")
		f := fleet(make([]int, n)...)
		for i := range f {
			f[i].Room = room
		}
		odd := rapid.IntRange(0, 3).Draw(t, "odd")
		f = append(f, fleet(room)...)
		switch last := &f[n]; odd {
		case 0:
			last.Draining = true
		case 1:
			last.Labels = nil
		case 2:
			last.Pools = []string{"other"}
		case 3:
			last.Room = 0
		}
		total := make([]int, n+1)
		for turn := range rapid.IntRange(0, 60).Draw(t, "runs") {
			at := roster.Choose(labelled, f)
			if at < 0 {
				for i := range f[:n] {
					if f[i].Busy < f[i].Room {
						t.Fatalf("runner %d has room and got nothing", i)
					}
					f[i].Busy = 0 // all end at once
				}
				continue
			}
			f[at].Busy++
			f[at].Offered = uint64(turn + 1) //nolint:gosec // small
			total[at]++
			low, high := total[0], total[0]
			for _, k := range total[:n] {
				low, high = min(low, k), max(high, k)
			}
			if high-low > 1 || total[n] > 0 {
				t.Fatalf("offers %v, to somebody unfit %d", total[:n], total[n])
			}
		}
	})
}

// Runs of any length: the least busy is always next, so that the share taken
// never differs by more than one run between equals that started alike.
func TestTheLeastBusyIsNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := fleet(8, 8, 8)
		for turn := range 100 {
			if end := rapid.IntRange(-3, 2).Draw(t, "end"); end >= 0 && f[end].Busy > 0 {
				f[end].Busy--
			}
			at := roster.Choose(labelled, f)
			if at < 0 {
				continue
			}
			for i := range f {
				if f[i].Busy < f[at].Busy {
					t.Fatalf("chose %d of %+v", at, f)
				}
			}
			f[at].Busy++
			f[at].Offered = uint64(turn + 1) //nolint:gosec // small
		}
	})
}
