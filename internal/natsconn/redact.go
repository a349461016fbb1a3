package natsconn

import (
	"net/url"
	"strings"
)

// redactURL hides passwords and tokens that a person put into a URL.
func redactURL(list string) string {
	parts := strings.Split(list, ",")
	for i, part := range parts {
		u, err := url.Parse(strings.TrimSpace(part))
		switch {
		case err != nil:
			parts[i] = "an unreadable URL"
		case u.User != nil:
			u.User = url.User("redacted")
			parts[i] = u.String()
		}
	}
	return strings.Join(parts, ",")
}
