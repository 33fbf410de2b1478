import { Argument, type Command } from 'commander';
import type { SessionOf } from '../session.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** What each shell is told: ask `muster complete` with the words so far. */
const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `_muster() {
  local IFS=$'\\n'
  COMPREPLY=($(muster complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _muster muster
`,
  zsh: `#compdef muster
_muster() {
  local -a found
  found=(\${(f)"$(muster complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)"})
  compadd -a found
}
compdef _muster muster
`,
  fish: `complete -c muster -f -a '(muster complete -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
`,
};

/** `muster completion SHELL`, and what its script asks. */
export function completionCommands(program: Command, sessionOf: SessionOf): void {
  program
    .command('completion')
    .description('print what a shell needs to complete commands and flags')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .addHelpText('after', '\nExamples:\n  source <(muster completion bash)\n  muster completion fish | source')
    .action((shell: Shell, _options: object, command: Command) => sessionOf(command).print(SCRIPTS[shell]));
  program
    .command('complete [words...]', { hidden: true })
    .allowUnknownOption()
    .action((words: string[], _options: object, command: Command) => {
      for (const word of candidates(program, words)) sessionOf(command).print(`${word}\n`);
    });
}

/** Commands, flags and choices that may stand where the last word is. */
function candidates(program: Command, words: readonly string[]): string[] {
  const [last = ''] = words.slice(-1);
  let at = program;
  for (const word of words.slice(0, -1)) at = at.commands.find((one) => namesOf(one).includes(word)) ?? at;
  const flag = at.options.concat(program.options).find((option) => option.long === words.at(-2));
  const shown = at.commands.filter((one) => one.name() !== 'complete').map((one) => one.name());
  const flags = at.options.concat(program.options).map((option) => option.long ?? '');
  const all = flag?.argChoices ?? (last.startsWith('-') ? [...flags, '--help'] : shown);
  return [...new Set(all)].filter((word) => word !== '' && word.startsWith(last)).toSorted();
}

function namesOf(command: Command): string[] {
  return [command.name(), ...command.aliases()];
}
