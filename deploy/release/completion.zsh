#compdef dane_exporter
# Completions for zsh. The program lists what may follow the words before the cursor. The
# zsh script that it prints completes no command names, and nothing at the first attempt.

local -a arguments matches
arguments=("${(@)words[2,CURRENT-1]}")
[[ $words[CURRENT] != -* ]] || arguments+=("$words[CURRENT]")
matches=(${(f)"$($words[1] --completion-bash "${(@)arguments}")"})
compadd -a matches
((compstate[nmatches])) || [[ $words[CURRENT] == -* ]] || _files
