package web

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// scrapeTimeoutHeader is how Prometheus says how long it will wait, in seconds.
const scrapeTimeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// budget is how long a probe may take: what its module allows, or less where
// the scrape ends sooner. Of the scrape's time, offset is left for the answer's
// way back; where the offset is larger than the scrape's time, half of that is.
func budget(module time.Duration, header string, offset time.Duration) (time.Duration, error) {
	if header == "" {
		return module, nil
	}
	seconds, err := strconv.ParseFloat(header, 64)
	if err != nil || !(seconds > 0) || math.IsInf(seconds, 0) {
		return 0, fmt.Errorf("the header %s is %.40q: want seconds, as 30 or 9.5", scrapeTimeoutHeader, header)
	}
	const most = 24 * time.Hour // far beyond any module's; and a Duration holds it
	scrape := time.Duration(min(seconds, most.Seconds()) * float64(time.Second))
	left := scrape - offset
	if left <= 0 {
		left = scrape / 2
	}
	return min(module, left), nil
}
