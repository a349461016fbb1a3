// Package socket is one Socket Mode connection of Slack's: envelopes come in,
// acknowledgements go out. What a payload means is request's, how many
// connections there are and when one replaces another is the ingress's.
//
// It is ours and not the library's, because the library hangs up as soon as it is
// warned, with what is in hand unacknowledged, and opens the next one only then.
//
// Invariants: an acknowledgement goes out on the connection that its envelope
// came by, or fails; a connection on which nothing is heard for Silence has
// ended; no address, whose ticket is a secret, is part of an error.
package socket
