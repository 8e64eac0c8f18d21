package command

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/alecthomas/kingpin/v2"
)

func (s *session) addHealthy(app *kingpin.Application, commands map[string]runFunc) {
	cmd := app.Command("healthy", "Check the health of a running exporter. For containers, which have no other HTTP client.")
	url := cmd.Flag("url", "URL of the health endpoint.").Default("http://localhost:10125/-/healthy").String()
	commands[cmd.FullCommand()] = func(ctx context.Context) exitCode {
		if err := checkHealth(ctx, *url); err != nil {
			s.printError(err)
			return exitError
		}
		return exitOK
	}
}

// checkHealth returns an error unless url answers with status 200 within three seconds.
func checkHealth(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("--url: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("check the health of the exporter: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("check the health of the exporter: %s: %s", url, response.Status)
	}
	return nil
}
