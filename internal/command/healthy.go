package command

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/alecthomas/kingpin/v2"
)

func (s *session) addHealthy(app *kingpin.Application, commands map[string]command) {
	cmd := app.Command("healthy", "Ask an exporter that serves whether it is healthy; for containers, in which there is no other program to ask with.")
	url := cmd.Flag("url", "Where it says so.").Default("http://localhost:10125/-/healthy").String()
	commands[cmd.FullCommand()] = func(ctx context.Context) int {
		if err := healthy(ctx, *url); err != nil {
			s.complain(err)
			return exitError
		}
		return exitOK
	}
}

// healthy returns an error unless the answer at url is 200 within three seconds.
func healthy(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("--url: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask whether it is healthy: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("ask whether it is healthy: %s: %s", url, response.Status)
	}
	return nil
}
