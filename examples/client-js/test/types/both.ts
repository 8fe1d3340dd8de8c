// Compiled, never run: that volley.d.ts says what the source, here made.js, says of itself; names are held against each other.
import * as made from "./made.js";
import * as said from "./volley.js";

// But for the events' types, which JSDoc has no way to say.
type Of<Client> = Omit<Client, "addEventListener">;
declare const client: Of<made.Volley>;
client satisfies Of<said.Volley>;
declare const opened: Of<Awaited<ReturnType<typeof made.connect>>>;
opened satisfies Of<Awaited<ReturnType<typeof said.connect>>>;
declare const asked: Parameters<typeof made.connect>;
asked satisfies Parameters<typeof said.connect>;
made.VolleyError satisfies typeof said.VolleyError;

declare const ofSource: [keyof typeof made, keyof made.Volley, keyof made.VolleyError];
declare const ofTypes: [keyof typeof said, keyof said.Volley, keyof said.VolleyError];
ofSource satisfies typeof ofTypes;
ofTypes satisfies typeof ofSource;
