package dane

import "testing"

func TestGroupName(t *testing.T) {
	for group, want := range map[uint16]string{0: "", 23: "secp256r1", 29: "x25519", 4588: "X25519MLKEM768", 0x0100: "0x0100", 30: "0x001e"} {
		if got := GroupName(group); got != want {
			t.Errorf("group %d: %q, want %q", group, got, want)
		}
	}
}
