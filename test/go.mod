// Tests of whole processes: end to end, chaos, bench, browser. A module of its
// own, so that what they need never reaches the product; go.work joins the two.
module github.com/slipway-hq/slipway/test

go 1.26.0
