// Talking to the server. A write carries the page's token; a server that was started again has a new one.

let token = document.querySelector('meta[name="token"]').content;

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function send(method, url, body) {
  return fetch(url, {
    method,
    headers: body === undefined ? {} : {"content-type": "application/json", "x-cardpose-token": token},
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

async function renewToken() {
  const page = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
  token = page.querySelector('meta[name="token"]')?.content ?? token;
}

/** The answer's JSON. Throws Refused where the server says no, TypeError where it cannot be reached. */
export async function ask(method, url, body) {
  let answer = await send(method, url, body);
  if (answer.status === 401 && body !== undefined) {
    await renewToken();
    answer = await send(method, url, body);
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, said.error ?? answer.statusText);
  return said;
}

/** A picture, decoded, with the size it has. */
export async function picture(number) {
  const answer = await fetch(`/pictures/${number}`);
  if (!answer.ok) {
    throw new Refused(answer.status, (await answer.json().catch(() => ({}))).error ?? answer.statusText);
  }
  return createImageBitmap(await answer.blob());
}
