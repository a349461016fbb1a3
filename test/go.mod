// Tests of whole processes: end to end, chaos, bench, browser. A module of its
// own, so that what they need never reaches the product; go.work joins the two.
module github.com/slipway-hq/slipway/test

go 1.26.0

require (
	github.com/chromedp/cdproto v0.157.8
	github.com/chromedp/chromedp v0.20.1
)

require github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
