// Requests to the server. Writes carry the page's token; after a restart the server has a new one.

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

/** The JSON of the response. Throws Refused for an error response, TypeError if the server cannot be reached. */
export async function ask(method, url, body) {
  let response = await send(method, url, body);
  if (response.status === 401 && body !== undefined) {
    await renewToken();
    response = await send(method, url, body);
  }
  const content = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, content.error ?? response.statusText);
  return content;
}

/** The decoded picture of a frame. */
export async function picture(number) {
  const response = await fetch(`/pictures/${number}`);
  if (!response.ok) {
    throw new Refused(response.status, (await response.json().catch(() => ({}))).error ?? response.statusText);
  }
  return createImageBitmap(await response.blob());
}
