//go:build browser

package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/slipway-hq/slipway/test/internal/world"
)

func TestARunIsCancelledByItsButtonAfterItsDialog(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	p := up(t, pipeline(step("build", "echo built"), step("hang", fmt.Sprintf("echo $$ > %s; sleep 3600", pid)), step("never", "echo never")))
	id := p.deploy("web@v2 to staging")
	p.shows(id, "running hang")

	p.click(p.of(id, cancelButton))
	p.until("the dialog asks", `document.getElementById("confirm").innerText.includes("The step that runs now is stopped")`)
	p.shot("cancel-dialog")
	p.click(byID("confirm-no"))
	p.until("the dialog is gone", `!document.getElementById("confirm").open`)
	p.click(p.of(id, cancelButton))
	p.click(byID("confirm-yes"))

	p.shows(id, "Cancelled")
	for _, want := range []string{"done build", "skipped never", "cancelled by @requester"} {
		if !strings.Contains(p.card(id), want) {
			t.Errorf("the card does not say %q:\n%s", want, p.card(id))
		}
	}
	if n := value[int](p, fmt.Sprintf(`document.querySelectorAll('%s [data-kind="interaction"]').length`, byID("journal"))); n != 1 {
		t.Errorf("%d clicks were delivered: the dialog that was dismissed must not deliver one", n)
	}
	if world.Alive(numberIn(t, pid)) {
		t.Error("the step is still alive")
	}
	p.thread(id, "cancelled after")
	p.acknowledged()
}

// cancelButton is the test id of the card's button.
const cancelButton = "card-button-slipway:cancel"

func numberIn(t *testing.T, path string) int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
