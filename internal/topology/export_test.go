package topology

// AtLeast is the rule by which servers are refused.
func AtLeast(version string) bool { return atLeast(version, minServer) }
