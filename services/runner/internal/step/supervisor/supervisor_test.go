package supervisor

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The supervisor starts fast only while Go can initialise it before everything
// else, which needs this short list.
func TestSupervisorStaysSmall(t *testing.T) {
	for _, goos := range []string{"linux"} {
		cmd := exec.Command("go", "list", "-f", `{{join .Imports " "}}`, ".")
		cmd.Env = append(cmd.Environ(), "GOOS="+goos)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff("errors sync/atomic syscall time unsafe", strings.TrimSpace(string(out))); diff != "" {
			t.Error(diff)
		}
	}
}

func TestSpecSurvivesTheWire(t *testing.T) {
	want := Spec{Path: "/bin/sh", Argv: []string{"sh", "-c", ""}, Env: []string{"A=ü\n"}, Dir: "/tmp", Timeout: -1, Grace: 1 << 40, Watchdog: 3}
	b, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	n, err := specLength(b[:headerBytes])
	if err != nil || n != len(b)-headerBytes {
		t.Fatal(n, err)
	}
	got, err := decodeSpec(b[headerBytes:])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for cut := range len(b) - headerBytes {
		if _, err := decodeSpec(b[headerBytes : headerBytes+cut]); err == nil {
			t.Errorf("half a specification of %d bytes was accepted", cut)
		}
	}
}

func TestReportSurvivesTheWire(t *testing.T) {
	want := Report{Kind: Ended, PID: 7, Exit: -1, Signal: 9, Stop: RunnerStill, Leftover: 2}
	got, err := DecodeReport(want.Encode())
	if err != nil || len(want.Encode()) != ReportBytes {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
