// Everything that the page says, in English and Spanish; a test compares the keys.

export const WORDS = {
  en: {
    camera: "Start camera", hold: "Hold", again: "Again", photo: "Photo", switch: "Other camera", torch: "Light",
    open: "Open file", share: "Share", history: "History", settings: "Settings", close: "Close", resume: "Continue",
    stage: "Camera picture: press to hold the answer",
    cards: (n) => (n === "1" ? "1 card" : `${n} cards`), range: (low, high) => `${low} to ${high}`,
    thick: (mm) => `${mm} mm thick`, sure: "sure", counting: "counting", hidden: "Hidden: press and hold the picture",
    ready: "Point the camera at a packet of cards", loading: "Loading",
    noPacket: "No packet in view", cutOff: "Whole packet in view", noBox: "Show two sides of the packet",
    closer: "Move closer", lower: "Lower the camera", still: "Hold still",
    exact: "Exact count: a photo of this view, and cardpose predict",
    refused: "The camera was refused: allow it in the browser's settings, or open a file",
    absent: "There is no camera here: open a file", taken: "The camera was taken away: start it again",
    insecure: "A browser gives the camera only to an HTTPS page: open a file, or use cardpose app --lan",
    badModel: "The model cannot be used", badFile: "This file cannot be shown: choose a picture or a video",
    language: "Language", magic: "Magician's mode",
    magicNote: "The count is hidden. Press and hold the picture, or the key V, to see it. Once it is sure the phone "
      + "vibrates: long for ten, short for one.",
    known: "Cards of the packet in view", calibrate: "Calibrate", uncalibrate: "Forget calibration",
    calibrated: (n, scale) => `Calibrated on ${n} packet${n === 1 ? "" : "s"}: counts times ${scale}`, plain: "Not calibrated",
    noAnswer: "Count a packet first", historyNote: "Kept on this device alone.", forget: "Forget all",
    nothing: "Nothing yet", engine: (backend, ms) => `${backend}, ${ms} ms a frame`,
    offline: "works offline", online: "does not work offline",
  },
  es: {
    camera: "Iniciar cámara", hold: "Fijar", again: "De nuevo", photo: "Foto", switch: "Otra cámara", torch: "Luz",
    open: "Abrir archivo", share: "Compartir", history: "Historial", settings: "Ajustes", close: "Cerrar",
    resume: "Seguir",
    stage: "Imagen de la cámara: pulse para fijar la respuesta",
    cards: (n) => (n === "1" ? "1 carta" : `${n} cartas`), range: (low, high) => `${low} a ${high}`,
    thick: (mm) => `${mm} mm de grosor`, sure: "seguro", counting: "contando",
    hidden: "Oculto: mantenga pulsada la imagen",
    ready: "Apunte la cámara a un paquete de cartas", loading: "Cargando",
    noPacket: "No se ve ningún paquete", cutOff: "Que se vea el paquete entero", noBox: "Muestre dos lados del paquete",
    closer: "Acérquese", lower: "Baje la cámara", still: "No se mueva",
    exact: "Cuenta exacta: foto de esta vista y cardpose predict",
    refused: "Se denegó la cámara: permítala en los ajustes del navegador o abra un archivo",
    absent: "Aquí no hay cámara: abra un archivo", taken: "Se perdió la cámara: iníciela de nuevo",
    insecure: "El navegador solo da la cámara a una página HTTPS: abra un archivo o use cardpose app --lan",
    badModel: "El modelo no se puede usar", badFile: "Este archivo no se puede mostrar: elija una imagen o un vídeo",
    language: "Idioma", magic: "Modo mago",
    magicNote: "La cuenta está oculta. Mantenga pulsada la imagen, o la tecla V, para verla. Cuando sea segura, el "
      + "teléfono vibra: largo por diez, corto por uno.",
    known: "Cartas del paquete a la vista", calibrate: "Calibrar", uncalibrate: "Olvidar calibración",
    calibrated: (n, scale) => `Calibrado con ${n} paquete${n === 1 ? "" : "s"}: cuentas por ${scale}`, plain: "Sin calibrar",
    noAnswer: "Cuente antes un paquete", historyNote: "Se guarda solo en este dispositivo.", forget: "Olvidar todo",
    nothing: "Nada todavía", engine: (backend, ms) => `${backend}, ${ms} ms por imagen`,
    offline: "funciona sin red", online: "no funciona sin red",
  },
};

let words = WORDS.en;

/** A text by its key. */
export const say = (key, ...values) => (typeof words[key] === "function" ? words[key](...values) : words[key]);

/** Write every text of the page in a language. */
export function speak(language) {
  words = WORDS[language] ?? WORDS.en;
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = say(element.dataset.word);
  document.getElementById("stage").setAttribute("aria-label", say("stage"));
}
