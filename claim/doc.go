// Package claim lets one of several replicas of a bot, and no other, act on a
// message or any other key: a fenced claim with a lease over NATS JetStream. It
// is for authors of bots; Slipway's own services do not use it (their claims are
// commits of the run's log, see internal/lease and docs/adr/0018). It needs
// nats.go and nothing else of this repository.
//
//	guard, err := claim.Open(ctx, js, claim.Options{Replicas: 3})
//	err = guard.Do(ctx, channel+"/"+ts, func(ctx context.Context, held *claim.Held) error {
//		return act(ctx, held.Fence()) // ctx ends before anybody else may act
//	})
//
// What it promises, whatever dies, freezes, restarts or loses answers:
//
//   - Of any number of replicas that claim a key, one gets it. The others get
//     ErrTaken (with who has it, and until when if nothing more is heard of him)
//     or ErrDone (with who did it, and when). Every other error is a failure, and
//     never means that somebody else has it.
//   - A claim has a fence: a number that is higher than that of every claim in the
//     bucket before it, of the same key or another.
//   - A claim is renewed in the background. Held.Lost is closed when no renewal
//     has succeeded for two thirds of the lease; nobody else gets the claim before
//     a whole lease has gone by without one. Takers measure that on their own
//     monotonic clock from when they first saw the last renewal, so no clock has to
//     agree with another, and one that jumps frees nothing.
//   - When the holder dies, whoever claims next gets the key after a lease; after
//     Release, at once; after Done, nobody for Options.Remember.
//   - Done and Renew of a holder whose key was claimed again are refused
//     (ErrFenced, ErrLost), however late they come.
//   - A write whose answer got lost is settled before Claim returns: held, or not
//     held, or an error, and then the replica does not hold it. What such a write
//     leaves behind is taken over at once by the same Guard and after a lease by
//     others.
//   - Of a Role, one function runs at a time, and its context has ended before
//     another starts.
//
// What it does not promise:
//
//   - Side effects are not fenced. A process that is frozen, or ignores Lost, can
//     go on after others took over: what must not happen twice has to carry the
//     fence (or the key) to a target that refuses an older one (or a repeated one).
//   - A holder that dies between its side effect and Done leaves a key that is
//     claimed again: at least once, unless the target knows the key.
//   - Order between keys, and delivery. Who is to act has to hear of the key.
//   - Clocks that run at rates a third apart; a bucket that is deleted, purged or
//     restored from an old backup under its users; a server's clock that jumps
//     ahead by Options.Remember (done markers are forgotten early) or by a day
//     (claims of the dead and of the living are forgotten).
package claim
