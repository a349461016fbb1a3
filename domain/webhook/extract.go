package webhook

import (
	"strings"

	"github.com/slipway-hq/slipway/domain/pipeline"
)

// maxCommits is how many commits GitHub lists in one push: at the limit there
// may be more ("Webhook events and payloads", push).
const maxCommits = 2048

// githubFields are what facts are made from, for all events.
var githubFields = []string{
	"action", "ref", "ref_type", "created", "deleted", "compare",
	"repository.full_name", "repository.html_url",
	"pull_request.merged", "pull_request.base.ref", "pull_request.html_url",
	"release.target_commitish", "release.tag_name", "release.html_url",
	"workflow_run.head_branch", "workflow_run.head_repository.full_name", "workflow_run.html_url",
	"workflow_job.html_url",
	"check_suite.head_branch", "check_run.check_suite.head_branch", "check_run.html_url",
	"deployment.ref", "issue.html_url", "comment.html_url", "branches.0.name", "target_url",
}

// genericFields are what facts are made from where the sender is not GitHub.
var genericFields = []string{Event, Action, Branch, Repository, Merged, Tag, "url"}

// Extract reads a payload of a webhook of this kind. event is the name that the
// sender gives it ("push"); a generic one says it in its payload. wanted are
// fields that rules name, see Wanted. The error is ErrMalformed, ErrTooDeep or
// ErrTwice.
func Extract(kind, event string, payload []byte, wanted []string) (Facts, error) {
	if kind == pipeline.WebhookGeneric {
		return extractGeneric(payload, wanted)
	}
	return extractGitHub(event, payload, wanted)
}

func extractGeneric(payload []byte, wanted []string) (Facts, error) {
	files := false
	c := newCollector(func(path []string) bool {
		in := len(path) == 2 && path[0] == "paths"
		files = files || in
		return in
	}, genericFields, wanted)
	if err := walk(payload, c.visit); err != nil {
		return Facts{}, err
	}
	f := Facts{Known: map[string]string{}, Fields: c.pick(wanted), Paths: c.files(), PathsCut: c.cut, PathsKnown: files}
	for _, name := range []string{Event, Action, Branch, Repository, Merged, Tag} {
		f.know(name, c.values[name])
	}
	f.page(c.values["url"])
	return f, nil
}

func extractGitHub(event string, payload []byte, wanted []string) (Facts, error) {
	c := newCollector(func([]string) bool { return false }, githubFields, wanted)
	last := ""
	c.isPath = func(path []string) bool {
		if event != "push" {
			return false
		}
		if len(path) > 2 && path[0] == "commits" && path[1] != last {
			last = path[1]
			c.commits++
		}
		return changed(path)
	}
	if err := walk(payload, c.visit); err != nil {
		return Facts{}, err
	}
	f := Facts{Known: map[string]string{}, Fields: c.pick(wanted)}
	f.know(Event, event)
	f.know(Action, c.values["action"])
	f.know(Repository, c.values["repository.full_name"])
	if event == "push" {
		f.push(c)
	} else {
		f.other(event, c)
	}
	f.page(c.first("pull_request.html_url", "release.html_url", "workflow_run.html_url", "workflow_job.html_url",
		"check_run.html_url", "comment.html_url", "issue.html_url", "compare", "target_url", "repository.html_url"))
	return f, nil
}

// changed tells whether a path of a push leads to the name of a changed file.
func changed(path []string) bool {
	switch {
	case len(path) == 4 && path[0] == "commits":
		path = path[2:]
	case len(path) == 3 && path[0] == "head_commit":
		path = path[1:]
	default:
		return false
	}
	return path[0] == "added" || path[0] == "modified" || path[0] == "removed"
}

func (f *Facts) push(c *collector) {
	f.ref(c.values["ref"], "")
	deleted := c.values["deleted"] == "true"
	switch {
	case deleted:
		f.Known[Action] = ActionDeleted
	case c.values["created"] == "true":
		f.Known[Action] = "created"
	}
	f.Paths, f.PathsKnown = c.files(), true
	// Without commits, a branch was moved to one that was there before: what
	// that changes for who deploys it, the payload does not say.
	f.PathsCut = c.cut || c.commits >= maxCommits || (c.commits == 0 && !deleted)
}

func (f *Facts) other(event string, c *collector) {
	switch event {
	case "pull_request", "pull_request_target", "pull_request_review", "pull_request_review_comment":
		f.know(Branch, c.values["pull_request.base.ref"])
		f.know(Merged, c.values["pull_request.merged"])
	case "create", "delete":
		f.ref(c.values["ref"], c.values["ref_type"])
	case "release":
		f.know(Branch, c.values["release.target_commitish"])
		f.know(Tag, c.values["release.tag_name"])
	case "workflow_run":
		f.know(Branch, ofFork(c.values["workflow_run.head_branch"], c.values["workflow_run.head_repository.full_name"], f.Known[Repository]))
	default:
		// Not that of a workflow_job, which hides whether it is a fork's.
		f.know(Branch, c.first("check_suite.head_branch", "check_run.check_suite.head_branch", "branches.0.name"))
		if f.Known[Branch] == "" {
			f.ref(c.first("deployment.ref", "ref"), "")
		}
	}
}

// ofFork keeps a branch of a fork from passing for the same name in the
// repository itself: whoever opens a pull request chooses it.
func ofFork(branch, head, repository string) string {
	if branch == "" || head == "" || head == repository {
		return branch
	}
	return head + ":" + branch
}

// ref is a branch or a tag, in full or with its type.
func (f *Facts) ref(ref, kind string) {
	if name, ok := strings.CutPrefix(ref, "refs/tags/"); ok || kind == "tag" {
		f.know(Tag, name)
		return
	}
	f.know(Branch, strings.TrimPrefix(ref, "refs/heads/"))
}
